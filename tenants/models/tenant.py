from __future__ import annotations

from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited, immutable, remembered_tier
from .tier import Tier

SLUG_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z"
PLATFORM_SLUG = "platform"
"""The operators' own pseudo tenant in Redis keys and metrics; never a row."""

CURRENCIES = ["USD", "EUR", "GBP", "CHF", "JPY", "CAD", "AUD", "SEK", "NOK", "DKK", "PLN", "CZK", "INR", "SGD", "KWD"]


def validate_slug_reserved(value: str) -> None:
    if value in {PLATFORM_SLUG, "unattributed", "none", "all"}:
        raise ValidationError(_("“%(slug)s” is reserved. Choose another slug."), params={"slug": value})


def validate_time_zone(value: str) -> None:
    if value not in available_timezones():
        raise ValidationError(_("“%(zone)s” is not an IANA time zone, such as Europe/Zurich."), params={"zone": value})


class TenantState(models.TextChoices):
    ACTIVE = "active", _("Active")
    SUSPENDED = "suspended", _("Suspended")
    CLOSED = "closed", _("Closed")


class Tenant(models.Model):
    """An organisation that uses the platform. Never deleted: closing keeps its ledger and its slug.

    `slug` is immutable (a database trigger refuses a change): it is part of API keys, Redis hash tags and metric labels.
    `time_zone` decides where months and days begin; a change takes effect with the next billing period.
    """

    slug = models.CharField(
        max_length=40, unique=True, validators=[RegexValidator(SLUG_PATTERN), validate_slug_reserved]
    )
    name = models.CharField(max_length=120)
    state = models.CharField(max_length=12, choices=TenantState.choices, default=TenantState.ACTIVE)
    state_reason = models.CharField(max_length=300, blank=True)
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="tenants")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    currency = models.CharField(max_length=3, default="USD", choices=[(code, code) for code in CURRENCIES])
    contact_email = models.EmailField(blank=True, help_text=_("Receives notices when no budget recipient is named."))
    policy_version = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        triggers = [
            immutable("slug", "created_at"),
            audited(tenant_column="id", ignore=["policy_version"]),
            remembered_tier(),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.state == TenantState.ACTIVE
