"""Contracts, one file per workload, as plain data: importing one must not import Great Expectations."""
