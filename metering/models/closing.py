from __future__ import annotations

from django.db import models

from tenants.database.audit_triggers import append_only
from tenants.models import BillingPeriod, Tenant

from .invoice import Invoice


class EmptyMonth(models.Model):
    """A month that had nothing to invoice when no late usage could reach it any more: the clock need not look at it again.

    Closing the month by hand still does.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    period = models.OneToOneField(BillingPeriod, on_delete=models.PROTECT, related_name="+")
    found_at = models.DateTimeField()

    class Meta:
        triggers = append_only(deletes=True)

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.period_id}"


class OwedAnnouncement(models.Model):
    """An issued invoice that its customer has not been told of yet; written when it is issued, gone once mail and webhook are owed."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.invoice_id}"
