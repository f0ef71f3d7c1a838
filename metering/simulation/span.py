"""The time that a seed's tenants were simulated for. It stands in the audit trail, as the reason why they are there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

from tenants.models import AuditEntry, Tenant

ACTOR = "system:simulator"
_REASON = re.compile(r"simulated from (\S+) until (\S+)")


class OtherSpanError(Exception):
    """Tenants of the seed are there already, for another time: what they truly come to would be computed for tenants that never were."""


@dataclass(frozen=True)
class Span:
    """From the local day `first` up to `until` (aware)."""

    first: date
    until: datetime

    @property
    def reason(self) -> str:
        """What the trail says of a tenant of this span."""
        return f"simulated from {self.first} until {self.until.isoformat()}"

    def __str__(self) -> str:
        return f"{self.first} to {self.until:%Y-%m-%dT%H:%MZ}"


def of_seed(seed: int) -> Span | None:
    """The span of the seed's tenants; None where there are none yet. Raises OtherSpanError where the trail does not tell."""
    tenant = Tenant.objects.filter(slug__regex=rf"^sim-{seed}-\d+$").order_by("pk").first()
    return of_tenant(tenant) if tenant else None


def of_tenant(tenant: Tenant) -> Span:
    """The span that the tenant was made for. Raises OtherSpanError where the trail does not tell."""
    made = AuditEntry.objects.filter(
        tenant=tenant, actor=ACTOR, table_name=Tenant._meta.db_table, operation="INSERT"
    ).first()
    found = _REASON.fullmatch(made.reason) if made else None
    if found is None:
        raise OtherSpanError(f"Nothing says for which time {tenant.slug} was simulated. Choose another seed.")
    return Span(date.fromisoformat(found[1]), datetime.fromisoformat(found[2]))
