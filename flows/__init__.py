"""The flows, one per file; each reads top-down like a sentence."""
