from __future__ import annotations

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited


class Window(models.TextChoices):
    """Sliding windows of the per-user rate limit, narrowest first."""

    MINUTE = "minute", _("minute")
    HOUR = "hour", _("hour")
    DAY = "day", _("day")


class QuotaMode(models.TextChoices):
    HARD = "hard", _("Hard: refused above the limit")
    SOFT = "soft", _("Soft: allowed, and recorded")


MODE_HELP = _(
    "Hard refuses calls at once and GPU hours before a reservation starts; storage is held already, so it is only warned about."
)


class Tier(models.Model):
    """A plan: the rate limits and quotas a tenant has unless an override says otherwise."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveSmallIntegerField(default=0, help_text=_("Order in lists, smallest plan first."))
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["position", "slug"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="tenants_tier_one_default"
            )
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return self.name


class TierRateLimit(models.Model):
    """Calls per user in a sliding window. An empty limit is unlimited; 0 refuses everything."""

    tier = models.ForeignKey(Tier, on_delete=models.CASCADE, related_name="rate_limits")
    window = models.CharField(max_length=8, choices=Window.choices)
    limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(4_000_000_000)],
        help_text=_("Empty = unlimited, 0 = refuse all."),
    )
    shadow = models.BooleanField(default=False, help_text=_("Decide and count, but never block."))

    class Meta:
        ordering = ["tier", "id"]
        verbose_name = _("rate limit")
        constraints = [models.UniqueConstraint(fields=["tier", "window"], name="tenants_tierratelimit_tier_window")]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.limit if self.limit is not None else '∞'} / {self.window}"


class TierQuota(models.Model):
    """What a tenant may use in its month, in the meter's display unit (calls, GPU hours, GB)."""

    tier = models.ForeignKey(Tier, on_delete=models.CASCADE, related_name="quotas")
    meter = models.CharField(max_length=40)
    limit = models.DecimalField(
        max_digits=20,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("Empty = unlimited, 0 = refuse all."),
    )
    mode = models.CharField(max_length=4, choices=QuotaMode.choices, default=QuotaMode.HARD, help_text=MODE_HELP)
    grace_percent = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(100)], help_text=_("A hard quota refuses only above limit plus this.")
    )
    shadow = models.BooleanField(default=False, help_text=_("Decide and count, but never block."))

    class Meta:
        ordering = ["tier", "id"]
        verbose_name = _("quota")
        constraints = [models.UniqueConstraint(fields=["tier", "meter"], name="tenants_tierquota_tier_meter")]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.limit if self.limit is not None else '∞'} {self.meter} / month"
