"""Generators of demo rows with known truth, one per workload."""
