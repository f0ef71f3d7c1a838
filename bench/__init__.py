"""Benchmarks beside peers; see README.md."""
