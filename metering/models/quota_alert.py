from __future__ import annotations

from django.db import models
from django.utils import timezone

from tenants.models import Tenant


class QuotaAlert(models.Model):
    """A tenant's use of a meter crossed `percent` of its quota in a period: once, however often it is looked at.

    `used` and `limit` are in the meter's display unit. `cleared_at` is set when a raised limit brought the use back under the
    mark: then a new crossing is news again.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="quota_alerts")
    meter = models.CharField(max_length=40)
    period_key = models.CharField(max_length=7)
    percent = models.PositiveSmallIntegerField()
    used = models.DecimalField(max_digits=26, decimal_places=6)
    limit = models.DecimalField(max_digits=20, decimal_places=6)
    crossed_at = models.DateTimeField(default=timezone.now)
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-crossed_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "meter", "period_key", "percent"],
                condition=models.Q(cleared_at__isnull=True),
                name="metering_quotaalert_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.meter}, {self.period_key}"
