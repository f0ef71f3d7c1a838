"""A Django site with one trivial API view, served bare or under one of the limiters that are compared (BENCH_MODE)."""
