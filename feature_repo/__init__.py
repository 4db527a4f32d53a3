"""Feast objects, one file per workload."""
