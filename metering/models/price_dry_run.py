from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.models import Tenant

from .price_book import PriceBookVersion


class DryRunState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class PriceDryRun(models.Model):
    """What a draft of prices would do to bills, tenant by tenant. `fingerprint` names the very prices that were tried."""

    version = models.ForeignKey(PriceBookVersion, on_delete=models.CASCADE, related_name="dry_runs")
    fingerprint = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=DryRunState.choices, default=DryRunState.QUEUED)
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.version}: {self.get_state_display()}"


class PriceDryRunRow(models.Model):
    """One tenant's month under the old and the new prices, before tax. `held` names usage that the new prices would not cover."""

    run = models.ForeignKey(PriceDryRun, on_delete=models.CASCADE, related_name="rows")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    month = models.CharField(max_length=7)
    is_current = models.BooleanField()
    currency = models.CharField(max_length=3)
    before = models.DecimalField(max_digits=18, decimal_places=3)
    after = models.DecimalField(max_digits=18, decimal_places=3)
    held = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["run", "tenant", "month"]
        constraints = [models.UniqueConstraint(fields=["run", "tenant", "month"], name="metering_dryrunrow_once")]

    def __str__(self) -> str:
        return f"{self.tenant} {self.month}: {self.before} → {self.after} {self.currency}"
