"""The operators' pages of tenants. Importing this package registers them; the tenant's own page is registered by `metering.admin`."""

from . import audit, block, credential, membership, override, people, tier, visit

__all__ = ["audit", "block", "credential", "membership", "override", "people", "tier", "visit"]
