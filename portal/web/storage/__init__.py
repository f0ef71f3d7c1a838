"""Storage: by volume, bucket and class, and how it grows."""
