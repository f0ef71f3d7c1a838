from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.database.audit_triggers import audited


class GapPolicy(models.TextChoices):
    NONE = "none", _("Bill nothing")
    LAST = "last", _("Go on with the last value, up to a limit")
    ASK = "ask", _("Ask an operator")


class Aggregation(models.TextChoices):
    SUM = "sum", _("Sum of amounts")
    LEVEL = "level", _("Time-weighted level")


class Meter(models.Model):
    """Something that is counted. Amounts are stored as integer micro-units of `base_unit`.

    `event_types` maps an event's type to the base units that one of its units is worth: {"gpu_hours": 3600, "gpu_seconds": 1}.
    `display_factor` base units make one display unit; a level is billed as display unit × month ("GB-month").
    """

    key = models.CharField(max_length=40, primary_key=True)
    name = models.CharField(max_length=80)
    aggregation = models.CharField(max_length=5, choices=Aggregation.choices, default=Aggregation.SUM)
    base_unit = models.CharField(max_length=20)
    display_unit = models.CharField(max_length=20)
    display_factor = models.BigIntegerField(default=1)
    billing_unit = models.CharField(max_length=20)
    event_types = models.JSONField(default=dict)
    hold_seconds = models.PositiveIntegerField(
        db_default=35 * 86_400,
        help_text=_("A level counts at most this long without a new reading; then there is a gap. Not used for sums."),
    )
    gap_policy = models.CharField(
        max_length=4,
        choices=GapPolicy.choices,
        default=GapPolicy.NONE,
        db_default=GapPolicy.NONE.value,
        help_text=_("What is billed for time in which a collector knew nothing. Holds for gaps that end from now on."),
    )
    gap_cap_seconds = models.PositiveIntegerField(
        default=3600,
        db_default=3600,
        help_text=_("The last value goes on for at most this long (seconds)."),
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "key"]
        triggers = [audited()]

    def __str__(self) -> str:
        return self.name

    # The primary key is not called `id`, and the audit trail wants a name for the row.
    @property
    def id(self) -> str:
        return self.key
