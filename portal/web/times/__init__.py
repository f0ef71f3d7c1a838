"""Which days a page is about: ranges that a reader may choose (ranges), the month (months), and where it is heading (ahead)."""
