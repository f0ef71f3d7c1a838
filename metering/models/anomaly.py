from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from metering.money import Money
from tenants.models import Tenant


class AnomalyDirection(models.TextChoices):
    HIGH = "high", _("More than usual")
    LOW = "low", _("Less than usual")


class SpendAnomaly(models.Model):
    """A day (of the tenant's calendar) whose cost was out of the ordinary for this tenant: once a tenant and day.

    `low` … `high` is the ordinary range for that weekday, `expected` its middle, as they were known when the day was judged.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="spend_anomalies")
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    day = models.DateField()
    direction = models.CharField(max_length=4, choices=AnomalyDirection.choices)
    cost = models.DecimalField(max_digits=17, decimal_places=3)
    expected = models.DecimalField(max_digits=17, decimal_places=3)
    low = models.DecimalField(max_digits=17, decimal_places=3)
    high = models.DecimalField(max_digits=17, decimal_places=3)
    currency = models.CharField(max_length=3)
    meter = models.CharField(max_length=40, blank=True, help_text=_("The meter that changed most."))
    detected_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-day", "tenant"]
        verbose_name_plural = _("spend anomalies")
        constraints = [models.UniqueConstraint(fields=["tenant", "day"], name="metering_anomaly_once")]

    def __str__(self) -> str:
        return f"{self.tenant_id}: {Money(self.cost, self.currency)} on {self.day}"
