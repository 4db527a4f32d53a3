"""The page of a run, drawn from values: one module per part of it, and ``report`` which puts them together."""
