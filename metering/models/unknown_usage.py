from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import Tenant


class UnknownKind(models.TextChoices):
    EVENT_TYPE = "event_type", _("Unknown meter")
    NO_PRICE = "no_price", _("No price")


class UnknownUsage(models.Model):
    """Something a tenant reports or uses that nobody can bill yet: an event type without a meter, a meter or GPU model without a price.

    One row per value, for as long as it is known; `alerted_on` is the last day (UTC) on which operators were told.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=UnknownKind.choices)
    meter = models.CharField(max_length=200, help_text=_("The meter, or the type of the events."))
    dim_key = models.CharField(max_length=40, blank=True)
    dim_value = models.CharField(max_length=120, blank=True)
    quantity = models.CharField(max_length=60, help_text=_("What waits, in the meter's billing unit or in events."))
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    alerted_on = models.DateField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_seen_at"]
        verbose_name_plural = "unknown usage"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "meter", "dim_key", "dim_value"], name="metering_unknownusage_once"
            )
        ]

    def __str__(self) -> str:
        return " ".join(filter(None, [self.meter, self.dim_value]))
