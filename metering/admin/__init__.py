"""The operators' pages of metering. Importing this package registers them."""

from . import budget, notification, records

__all__ = ["budget", "notification", "records"]
