"""Keyword, filtered and semantic search over radiology reports."""
