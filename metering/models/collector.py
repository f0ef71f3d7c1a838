from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.database.audit_triggers import audited
from tenants.models import Tenant

from .meter import GapPolicy


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
    events = models.PositiveBigIntegerField(default=0, db_default=0, help_text=_("Usage events booked."))
    buffered = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text=_("Reports that wait on the node's disk, as it said with the last one that came."),
    )
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
    settled_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Since when it stands what the gap means for each tenant.")
    )

    class Meta:
        ordering = ["-starts_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "collector", "node", "meter", "subject", "starts_at"],
                name="metering_gap_once",
                nulls_distinct=False,
            )
        ]
        indexes = [
            models.Index(fields=["ends_at"], condition=models.Q(settled_at=None), name="metering_gap_unsettled"),
        ]

    def __str__(self) -> str:
        return f"{self.collector}: {self.starts_at:%Y-%m-%d %H:%M}"


class GapDecision(models.TextChoices):
    NONE = "none", _("Bill nothing")
    LAST = "last", _("Go on with the last value")
    AMOUNT = "amount", _("Bill this quantity")


class GapShare(models.Model):
    """What a gap means for one tenant: the last values before it, the meter's policy when it ended, and an operator's decision.

    `last` is a list of {"dims": …, "micro_per_second": "n/d", "known_until": ISO}: how fast a sum grew in the last full hour before the
    gap, or how high a level stood and until when that reading counts anyway. What is billed follows from these by `pricing.gaps`.
    """

    gap = models.ForeignKey(MeteringGap, on_delete=models.PROTECT, related_name="shares")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    meter = models.CharField(max_length=40)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    last = models.JSONField(default=list)
    policy = models.CharField(max_length=4, choices=GapPolicy.choices)
    cap_seconds = models.PositiveIntegerField()
    decision = models.CharField(max_length=6, choices=GapDecision.choices, blank=True)
    amount = models.DecimalField(
        max_digits=20, decimal_places=6, null=True, blank=True, validators=[MinValueValidator(Decimal(0))]
    )
    reason = models.CharField(max_length=300, blank=True)
    decided_by = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["-starts_at", "tenant"]
        constraints = [
            models.UniqueConstraint(fields=["gap", "tenant"], name="metering_gapshare_once"),
            models.CheckConstraint(
                condition=models.Q(amount=None) | models.Q(amount__gte=0), name="metering_gapshare_amount"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "ends_at"], name="metering_gapshare_tenant")]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.tenant}: {self.gap}"

    @property
    def waits(self) -> bool:
        """An operator has to decide."""
        return self.policy == GapPolicy.ASK and not self.decision
