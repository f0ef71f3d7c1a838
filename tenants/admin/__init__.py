"""The operators' pages of tenants. Importing this package registers them; the tenant's own page, which shows its money too, by `portal.admin`."""

from . import audit, block, credential, membership, override, people, tier, visit

__all__ = ["audit", "block", "credential", "membership", "override", "people", "tier", "visit"]
