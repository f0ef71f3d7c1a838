from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import Tenant


class CollectorState(models.TextChoices):
    OK = "ok", _("Working")
    UNAVAILABLE = "unavailable", _("Unavailable")
    ERROR = "error", _("Failing")


class CollectorStatus(models.Model):
    """The last word of a collector on a node: what it could read, and since when it could not."""

    name = models.CharField(max_length=80)
    node = models.CharField(max_length=120)
    kind = models.CharField(max_length=20)
    state = models.CharField(max_length=12, choices=CollectorState.choices)
    detail = models.CharField(max_length=300, blank=True)
    readings = models.JSONField(default=dict, blank=True)
    interval_seconds = models.PositiveIntegerField(default=60)
    duration_ms = models.PositiveIntegerField(default=0)
    runs = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveBigIntegerField(default=0)
    memory = models.JSONField(
        default=dict, blank=True, editable=False, help_text=_("What the next run needs to go on from this one.")
    )
    last_run_at = models.DateTimeField()
    last_ok_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "node"]
        verbose_name_plural = "collector statuses"
        constraints = [models.UniqueConstraint(fields=["name", "node"], name="metering_collector_name_node")]

    def __str__(self) -> str:
        return f"{self.name} on {self.node}: {self.get_state_display()}"


class MeteringGap(models.Model):
    """A span in which a collector knew nothing, of everything or of one `subject` (a GPU, a tenant's tree). Shown, never filled with zero."""

    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    collector = models.CharField(max_length=80)
    node = models.CharField(max_length=120)
    meter = models.CharField(max_length=40)
    subject = models.CharField(max_length=120, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300)

    class Meta:
        ordering = ["-starts_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "collector", "node", "meter", "subject", "starts_at"],
                name="metering_gap_once",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return f"{self.collector}: {self.starts_at:%Y-%m-%d %H:%M}"
