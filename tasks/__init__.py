"""Prefect tasks, one thin module per stage: names, retries, timeouts. No thinking here."""
