from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited, immutable
from .membership import Role
from .tenant import Tenant


class Visit(models.Model):
    """An operator looks at a tenant's portal as one of its roles sees it, and changes nothing.

    It ends by hand (`ended_at`) or by itself at `ends_at`. Who, why, from when and until when never change; the tenant reads them in its
    trail.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="visits")
    operator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="visits")
    role = models.CharField(max_length=8, choices=Role.choices)
    reason = models.CharField(max_length=300)
    started_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-started_at"]
        verbose_name = _("visit")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("started_at")), name="tenants_visit_ends_after_start"
            )
        ]
        triggers = [
            immutable("tenant_id", "operator_id", "role", "reason", "started_at", "ends_at"),
            audited(),
        ]

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.role}"

    def in_force(self, now: datetime) -> bool:
        """Neither ended nor past its time at the aware instant `now`."""
        return self.ended_at is None and now < self.ends_at
