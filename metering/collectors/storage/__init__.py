"""Storage, as large as who keeps it says: directory trees, S3-compatible buckets, PostgreSQL databases and schemas."""
