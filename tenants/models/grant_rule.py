from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited
from .tier import Tier


class GrantRule(models.Model):
    """When a request for more is granted without an operator: a little more than the plan's limit, for a while, now and then.

    A tier's own rule comes before the platform's (`tier` empty), also when it is switched off. Budgets are always looked at.
    """

    tier = models.OneToOneField(
        Tier,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="grant_rule",
        help_text=_("Empty: for all tiers without a rule of their own."),
    )
    is_active = models.BooleanField(default=False)
    percent = models.PositiveSmallIntegerField(
        default=20,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text=_("Grants up to this much above the plan's limit, however high the limit is at the moment."),
    )
    max_days = models.PositiveSmallIntegerField(
        default=14,
        validators=[MinValueValidator(1), MaxValueValidator(366)],
        help_text=_("Grants only what ends by itself within so many days."),
    )
    most_per_month = models.PositiveSmallIntegerField(
        default=2,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("Of one tenant, in its month. Further requests wait for an operator."),
    )

    class Meta:
        ordering = ["tier__position", "id"]
        verbose_name = _("rule for grants")
        verbose_name_plural = _("rules for grants")
        constraints = [
            models.UniqueConstraint(
                models.Value(1), condition=models.Q(tier__isnull=True), name="tenants_grantrule_one_for_the_platform"
            )
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.tier or _('All tiers')}: +{self.percent}%"
