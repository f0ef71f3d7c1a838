from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from ..database.audit_triggers import audited, immutable
from .membership import Role
from .tenant import Tenant


class Invitation(models.Model):
    """Someone is asked to join a tenant by e-mail. The link's token is stored as its SHA-256 only."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="invitations")
    public_id = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    email = models.EmailField()
    role = models.CharField(max_length=8, choices=Role.choices)
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                "tenant",
                Lower("email"),
                condition=Q(accepted_at__isnull=True, revoked_at__isnull=True),
                name="tenants_invitation_one_open",
            )
        ]
        triggers = [immutable("tenant_id", "email", "role", "token_digest", "expires_at"), audited()]

    def __str__(self) -> str:
        return f"{self.email} → {self.tenant_id} · {self.get_role_display()}"
