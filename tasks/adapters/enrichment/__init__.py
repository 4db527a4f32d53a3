"""What enriching text keeps and reaches: caches, breakers, the work in hand, and providers over HTTP."""
