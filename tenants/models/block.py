from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import audited
from .tenant import Tenant


class BlockAction(models.TextChoices):
    THROTTLE = "throttle", _("Throttle")
    BLOCK_GPU = "block_gpu", _("Refuse new GPU reservations")
    BLOCK = "block", _("Refuse calls")


class TenantBlockQuerySet(models.QuerySet["TenantBlock"]):
    def in_force(self, now: datetime) -> TenantBlockQuerySet:
        """Neither lifted nor past `until` at the aware instant `now`."""
        return self.filter(lifted_at__isnull=True).filter(models.Q(until__isnull=True) | models.Q(until__gt=now))


class TenantBlock(models.Model):
    """An enforcement action on a tenant (a spent budget, say), published with its policy and lifted by itself at `until`."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="blocks")
    action = models.CharField(max_length=10, choices=BlockAction.choices)
    code = models.SlugField(
        max_length=40, help_text=_("The problem code a refused caller sees, for example budget_exhausted.")
    )
    origin = models.CharField(
        max_length=80, help_text=_("What set it, for example budget:7:2026-07; unique per tenant.")
    )
    detail = models.CharField(max_length=300)
    created_at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)

    objects = TenantBlockQuerySet.as_manager()

    class Meta:
        ordering = ["tenant", "-created_at"]
        verbose_name = _("block")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "origin", "action"], name="tenants_block_tenant_origin_action")
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.action} ({self.origin})"
