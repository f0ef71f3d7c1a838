from __future__ import annotations

from django.db import models

from tenants.models import Tenant


class AbsoluteCount(models.Model):
    """API calls of one hour as an absolute count that only grows: written with GREATEST, so a repeated flush changes nothing.

    A generation is one life of a Redis server; counts of different generations add up.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    hour = models.DateTimeField()
    generation = models.CharField(max_length=24)
    key_id = models.CharField(max_length=24)
    route_class = models.CharField(max_length=32)
    count = models.BigIntegerField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class CallCounter(AbsoluteCount):
    """What Redis counted."""

    pk = models.CompositePrimaryKey("tenant", "hour", "generation", "key_id", "route_class")


class ProcessCounter(AbsoluteCount):
    """What one process saw admitted: the second witness, for when Redis loses the end of its log.

    Billed per (tenant, hour, generation, key, class): max(CallCounter, Σ ProcessCounter over processes).
    """

    pk = models.CompositePrimaryKey("tenant", "hour", "generation", "key_id", "route_class", "process")
    process = models.CharField(max_length=40)
