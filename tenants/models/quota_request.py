from __future__ import annotations

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited, immutable
from .grant_rule import GrantRule
from .override import LimitKind, Override, limit_words
from .tenant import Tenant


class QuotaRequestState(models.TextChoices):
    PENDING = "pending", _("Pending")
    APPROVED = "approved", _("Approved")
    DENIED = "denied", _("Denied")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class QuotaRequest(models.Model):
    """A tenant asks for more; an operator or a rule grants it (as an Override), or an operator says no with a reason.

    `name` and amounts are those of the override: a window and calls per user, or a meter and its display units. `limit_then` is the limit
    when it was asked. `granted` is what was given, all of `asked` or a part of it; until when, says the override. `warned_days` is the
    last warning before its end that was sent.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="quota_requests")
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=LimitKind.choices, default=LimitKind.QUOTA)
    name = models.CharField(max_length=40)
    asked = models.DecimalField(max_digits=20, decimal_places=6)
    limit_then = models.DecimalField(max_digits=20, decimal_places=6, null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    justification = models.TextField(max_length=2000)
    state = models.CharField(max_length=10, choices=QuotaRequestState.choices, default=QuotaRequestState.PENDING)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.CharField(max_length=300, blank=True)
    granted = models.DecimalField(max_digits=20, decimal_places=6, null=True, blank=True)
    by_rule = models.ForeignKey(GrantRule, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    override = models.ForeignKey(Override, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    warned_days = models.PositiveSmallIntegerField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="tenants_quotarequest_tenant_public_id"),
            models.UniqueConstraint(
                fields=["tenant", "kind", "name"],
                condition=models.Q(state=QuotaRequestState.PENDING),
                name="tenants_quotarequest_one_pending",
            ),
        ]
        triggers = [
            immutable("tenant_id", "public_id", "kind", "name", "asked", "justification"),
            audited(ignore=["warned_days"]),
        ]

    def __str__(self) -> str:
        return f"{limit_words(self.kind, self.name)} → {Decimal(self.asked).normalize():,f}"
