from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database.audit_triggers import append_only


class AuditEntry(models.Model):
    """One change of one row: who, what it was, what it is, why. Written by database triggers only; hash-chained per tenant."""

    at = models.DateTimeField()
    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    actor = models.CharField(max_length=160)
    reason = models.CharField(max_length=300)
    table_name = models.CharField(max_length=63)
    row_id = models.CharField(max_length=80)
    operation = models.CharField(max_length=6)
    old = models.JSONField(null=True)
    new = models.JSONField(null=True)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = [models.Index(fields=["tenant", "-id"], name="tenants_audit_tenant")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.actor}: {self.operation} {self.table_name} {self.row_id}"
