from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .tenant import Tenant


class RefusedBy(models.TextChoices):
    """Which limit refused a call."""

    MINUTE = "minute", _("Calls a minute")
    HOUR = "hour", _("Calls an hour")
    DAY = "day", _("Calls in 24 hours")
    MONTH = "month", _("Monthly quota")


class RefusedHour(models.Model):
    """How many calls of a key a limit refused within one hour (aware UTC start). Shown, never billed; kept for refused_calls.KEEP.

    It has no foreign key to the API key: the process that counts knows only the key's id.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    hour = models.DateTimeField()
    key_id = models.CharField(max_length=16)
    refused_by = models.CharField(max_length=6, choices=RefusedBy.choices)
    calls = models.PositiveBigIntegerField()

    class Meta:
        verbose_name = _("refused calls")
        verbose_name_plural = _("refused calls")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "hour", "key_id", "refused_by"], name="tenants_refusedhour_once")
        ]
        indexes = [models.Index(fields=["hour"], name="tenants_refusedhour_hour")]

    def __str__(self) -> str:
        return f"{self.key_id}: {self.calls}"
