from __future__ import annotations

from django.db import models

from tenants.models import Tenant


class UsageRollup(models.Model):
    """Usage of one hour, recomputed from the ledger whenever the hour is touched.

    `hour` is the UTC start of an hour counted from the start of the tenant's billing period, so that no bucket crosses a
    month's edge in zones with half-hour offsets. `quantity_micro`: micro base units for a sum; micro base units × seconds for a level.
    `level_micro` is a level's last known value at the end of the hour, read at `level_at`; `gap_seconds` the part of the hour in
    which nothing was known.
    """

    pk = models.CompositePrimaryKey("tenant", "meter", "hour", "dims_key")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.CharField(max_length=40)
    hour = models.DateTimeField()
    dims_key = models.CharField(max_length=32)
    dims = models.JSONField(default=dict)
    quantity_micro = models.DecimalField(max_digits=38, decimal_places=0)
    events = models.IntegerField(default=0)
    level_micro = models.DecimalField(max_digits=38, decimal_places=0, null=True)
    level_at = models.DateTimeField(null=True)
    gap_seconds = models.IntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["hour", "meter"], name="metering_rollup_hour")]


class DirtyHour(models.Model):
    """An hour whose rollup is out of date. Ingestion marks it in its own transaction; the rollup task claims and clears it."""

    pk = models.CompositePrimaryKey("tenant", "meter", "hour")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.CharField(max_length=40)
    hour = models.DateTimeField()
    marked_at = models.DateTimeField(auto_now=True)
