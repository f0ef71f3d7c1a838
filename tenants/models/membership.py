from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited, immutable
from .tenant import Tenant

ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def random_id(length: int) -> str:
    """A random lower-case base32 id; 5 bits of entropy a character."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(length))


def new_subject() -> str:
    return random_id(8)


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    BILLING = "billing", _("Billing")
    MEMBER = "member", _("Member")
    VIEWER = "viewer", _("Viewer")


class Membership(models.Model):
    """A user's role in a tenant. Removed by setting `removed_at`, so that the trail and the rate-limit subject stay."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    subject = models.CharField(
        max_length=8,
        default=new_subject,
        editable=False,
        help_text=_("Rate-limit identity: the first half of this member's key ids."),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["tenant", "id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="tenants_membership_tenant_user"),
            models.UniqueConstraint(fields=["tenant", "subject"], name="tenants_membership_tenant_subject"),
        ]
        triggers = [immutable("subject", "tenant_id", "user_id"), audited()]

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"
