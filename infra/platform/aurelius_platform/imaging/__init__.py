"""Studies, rendered slices and thumbnails."""
