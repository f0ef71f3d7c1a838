from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited
from .tenant import Tenant
from .tier import MODE_HELP, QuotaMode


class LimitKind(models.TextChoices):
    RATE_LIMIT = "rate_limit", _("Rate limit")
    QUOTA = "quota", _("Quota")


def limit_words(kind: str, name: str) -> str:
    """What a limit counts, for a row's title in the admin: "calls per minute", "gpu hours"."""
    return f"calls per {name}" if kind == LimitKind.RATE_LIMIT else name.replace("_", " ")


class OverrideQuerySet(models.QuerySet["Override"]):
    def in_force(self, now: datetime) -> OverrideQuerySet:
        """Started, not ended, not revoked at the aware instant `now`."""
        return self.filter(valid_from__lte=now, revoked_at__isnull=True).filter(
            models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=now)
        )


class Override(models.Model):
    """A limit of one tenant that replaces the tier's from `valid_from` until `valid_until`; the latest start wins.

    `name` is a window (`minute`) for a rate limit, or a meter key (`gpu_hours`) for a quota. It starts and ends by itself.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="overrides")
    kind = models.CharField(max_length=10, choices=LimitKind.choices)
    name = models.CharField(max_length=40)
    limit = models.DecimalField(
        max_digits=20,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("Empty = unlimited, 0 = refuse all."),
    )
    mode = models.CharField(
        max_length=4,
        choices=QuotaMode.choices,
        blank=True,
        help_text=format_lazy("{} {}", _("Quotas only; empty keeps the tier's."), MODE_HELP),
    )
    valid_from = models.DateTimeField(default=timezone.now)
    valid_until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = OverrideQuerySet.as_manager()

    class Meta:
        ordering = ["tenant", "kind", "name", "-valid_from", "-id"]
        indexes = [models.Index(fields=["tenant", "kind", "name"], name="tenants_override_lookup")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=models.F("valid_from")),
                name="tenants_override_ends_after_start",
            )
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        limit = "∞" if self.limit is None else f"{Decimal(self.limit).normalize():,f}"
        return f"{limit_words(self.kind, self.name)} → {limit}"
