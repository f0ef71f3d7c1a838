from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from tenants.models import Tenant


class UsageEvent(models.Model):
    """One measured fact, never edited. The table is partitioned by month of `time` (UTC); see migration 0001.

    `quantity_micro` is in micro base units of the meter, signed: a correction names the event it corrects.
    For a level meter it is the reading at `time`.
    """

    pk = models.CompositePrimaryKey("tenant", "time", "id")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    time = models.DateTimeField()
    id = models.BigIntegerField()
    meter = models.CharField(max_length=40)
    source = models.CharField(max_length=200)
    event_id = models.CharField(max_length=200)
    quantity_micro = models.DecimalField(max_digits=38, decimal_places=0)
    dims = models.JSONField(default=dict)
    corrects_source = models.CharField(max_length=200, null=True)
    corrects_id = models.CharField(max_length=200, null=True)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        managed = False
        db_table = "metering_usageevent"


class EventIdentity(models.Model):
    """(tenant, source, id) of every event, apart from the partitions: same id and same body is a duplicate, another body a conflict."""

    pk = models.CompositePrimaryKey("tenant", "source", "event_id")
    # A ledger row costs what its indexes and checks cost: the primary key serves, and tenants are never deleted.
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    source = models.CharField(max_length=200)
    event_id = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=32)
    time = models.DateTimeField()


class StagedEvent(models.Model):
    """The front of a ledger in ClickHouse: booked events on their way there, deleted when they have arrived (docs/adr/0024).

    Empty while the ledger is in PostgreSQL. `id` orders events; `dims` is canonical JSON, kept as it was written.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    source = models.CharField(max_length=200)
    event_id = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=32)
    time = models.DateTimeField()
    meter = models.CharField(max_length=40)
    quantity_micro = models.DecimalField(max_digits=38, decimal_places=0)
    dims = models.TextField(default="{}")
    corrects_source = models.CharField(max_length=200, null=True)
    corrects_id = models.CharField(max_length=200, null=True)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "source", "event_id"], name="metering_staged_identity")
        ]


class LedgerFloor(models.Model):
    """Which months retention has removed from the ledger (see event_store/floor.py). One row, or none.

    Before `since` (where set) everything is gone; `gone` are months ('YYYYMM') after it that went while an older one had to wait, and
    `held_back` says of those past their time why they could not go when it was last tried.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    since = models.DateTimeField(null=True)
    gone = models.JSONField(default=list, db_default=[])
    held_back = models.JSONField(default=dict, db_default={})
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="metering_one_floor")]


class QuarantinedEvent(models.Model):
    """An event that cannot be booked yet (too old, too far ahead, unknown model or meter): kept, shown, never dropped."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    source = models.CharField(max_length=200)
    event_id = models.CharField(max_length=200)
    reason = models.CharField(max_length=40)
    detail = models.CharField(max_length=300)
    payload = models.JSONField()
    received_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-received_at"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "source", "event_id"], name="metering_quarantine_identity")
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.event_id}: {self.reason}"
