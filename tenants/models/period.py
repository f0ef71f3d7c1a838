from __future__ import annotations

from django.db import models

from ..database.audit_triggers import append_only
from .tenant import Tenant


class BillingPeriod(models.Model):
    """A tenant's month as stored half-open UTC instants; billing and quotas read it, nothing recomputes it.

    The next period starts where this one ends, whatever happens to the tenant's time zone in between.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="billing_periods")
    key = models.CharField(max_length=7)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    time_zone = models.CharField(max_length=64)

    class Meta:
        ordering = ["tenant", "key"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key"], name="tenants_period_tenant_key"),
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="tenants_period_ends_after_start"
            ),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.key}"
