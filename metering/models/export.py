from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.models import Membership, Tenant


class ExportKind(models.TextChoices):
    EVENTS = "events", _("Usage events")
    TRAIL = "trail", _("Audit trail")


class ExportState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Being written")
    DONE = "done", _("Ready")
    FAILED = "failed", _("Failed")


class Export(models.Model):
    """A long CSV that a member asked for: written by a task, kept until `expires_at`, for its tenant alone.

    `rows` counts what is written so far of about `rows_expected`. Days are those of the tenant's zone when it was asked for, as UTC instants.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=ExportKind.choices)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    filename = models.CharField(max_length=120)
    state = models.CharField(max_length=8, choices=ExportState.choices, default=ExportState.QUEUED)
    rows = models.PositiveBigIntegerField(default=0)
    rows_expected = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at"]
        indexes = [models.Index(fields=["tenant", "-asked_at"], name="metering_export_list")]

    def __str__(self) -> str:
        return self.filename


class ExportPart(models.Model):
    """A piece of an export's file, gzipped; the pieces in order are one gzip file."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="parts")
    position = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["export", "position"], name="metering_exportpart_once")]

    def __str__(self) -> str:
        return f"{self.export_id}:{self.position}"
