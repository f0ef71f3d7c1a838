from __future__ import annotations

from django.db import models

from ..database.audit_triggers import append_only
from .tenant import Tenant
from .tier import Tier


class TierHistory(models.Model):
    """Since when a tenant is on a tier, written by a trigger whenever `Tenant.tier` changes: bills price each hour by the tier of then."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="tier_history")
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()

    class Meta:
        ordering = ["tenant", "starts_at", "id"]
        verbose_name_plural = "tier history"
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.tier_id} since {self.starts_at:%Y-%m-%d}"
