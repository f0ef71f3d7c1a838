from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited, immutable
from .membership import Membership
from .tenant import Tenant


class Scope(models.TextChoices):
    """What a key may do. `decide` and `usage:write` are for the platform's services."""

    DECIDE = "decide", _("Ask for decisions")
    USAGE_WRITE = "usage:write", _("Send usage events")
    USAGE_READ = "usage:read", _("Read usage")
    QUOTA_READ = "quota:read", _("Read quotas and limits")
    QUOTA_WRITE = "quota:write", _("Ask for higher limits")
    COST_READ = "cost:read", _("Read costs")
    BUDGET_READ = "budget:read", _("Read budgets")
    BUDGET_WRITE = "budget:write", _("Change budgets")
    KEYS_READ = "keys:read", _("List API keys")
    KEYS_WRITE = "keys:write", _("Create and revoke API keys")
    WEBHOOKS_READ = "webhooks:read", _("Read webhooks and their log")
    WEBHOOKS_WRITE = "webhooks:write", _("Change webhooks")
    RESERVE = "reserve", _("Reserve GPUs")


class CredentialState(models.Model):
    """Fields that tenant keys and operator tokens share. The secret itself is never stored, only an HMAC of it."""

    digest = models.CharField(max_length=64, editable=False)
    name = models.CharField(max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def is_usable(self, now: datetime) -> bool:
        """Neither revoked nor expired at the aware instant `now`."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def of_active_people(self) -> ApiKeyQuerySet:
        """Without the keys of people whose account is switched off; services' keys are all there."""
        return self.filter(models.Q(membership__isnull=True) | models.Q(membership__user__is_active=True))


class ApiKey(CredentialState):
    """A tenant's credential `gpk_<env>_<tenant>_<key_id>_<secret>`, shown once.

    The first eight characters of `key_id` are the rate-limit subject: all keys of a member share the member's windows.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="api_keys")
    membership = models.ForeignKey(
        Membership,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="api_keys",
        help_text=_("Empty for a service key."),
    )
    key_id = models.CharField(max_length=16, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices), default=list)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["tenant", "-created_at"]
        verbose_name = _("API key")
        constraints = [models.UniqueConstraint(fields=["tenant", "key_id"], name="tenants_apikey_tenant_key_id")]
        triggers = [immutable("tenant_id", "key_id", "digest", "membership_id"), audited(ignore=["last_used_at"])]

    def __str__(self) -> str:
        return self.name


class OperatorToken(CredentialState):
    """A platform operator's API credential `gpo_<env>_<token_id>_<secret>`. Reaches every tenant."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="operator_tokens")
    token_id = models.CharField(max_length=16, unique=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        triggers = [immutable("token_id", "digest", "user_id"), audited(ignore=["last_used_at"])]

    def __str__(self) -> str:
        return self.name
