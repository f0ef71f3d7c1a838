"""What happens elsewhere and webhooks tell of: tenants held back and taken again, invoices paid and void, credit notes.

Receivers run in the transaction of the change, so that a message is owed exactly when the change is kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models.signals import post_save

from tenants import signals
from tenants.models import Tenant

from ..models import CreditNote, Invoice, InvoiceState
from ..money import Money
from . import events
from .delivery import owe

_TOLD = {
    InvoiceState.PAID: (events.INVOICE_PAID, "paid_at"),
    InvoiceState.VOID: (events.INVOICE_VOID, "voided_at"),
}


def register() -> None:
    """Listen. Called once, when the apps are ready."""
    signals.blocked.connect(_blocked, dispatch_uid="webhooks")
    signals.resumed.connect(_resumed, dispatch_uid="webhooks")
    post_save.connect(_invoice_saved, sender=Invoice, dispatch_uid="webhooks")
    post_save.connect(_credit_note_saved, sender=CreditNote, dispatch_uid="webhooks")


def _blocked(sender: object, **facts: Any) -> None:
    _tell(events.TENANT_BLOCKED, **facts)


def _resumed(sender: object, **facts: Any) -> None:
    _tell(events.TENANT_RESUMED, **facts)


def _tell(
    event: str, *, tenant: Tenant, now: datetime, action: str, code: str, reason: str, until: datetime | None, **_: Any
) -> None:
    data = {"action": action, "code": code, "reason": reason, "until": until.isoformat() if until else None}
    at = f"{now:%Y%m%dT%H%M%S%f}"
    owe(tenant, event, f"{event.replace('.', '-')}-{tenant.pk}-{action}-{at}", data, now)


def _invoice_saved(sender: object, instance: Invoice, update_fields: frozenset[str] | None, **_: Any) -> None:
    event, at = _TOLD.get(InvoiceState(instance.state), ("", ""))
    if not event or update_fields is None or "state" not in update_fields:
        return
    data = {
        "invoice": str(instance.public_id), "number": instance.number, "currency": instance.currency, "total": Money(instance.total, instance.currency).decimal_string(),
        "reason": instance.void_reason,
    }  # fmt: skip
    owe(instance.tenant, event, f"{event.replace('.', '-')}-{instance.pk}", data, getattr(instance, at))


def _credit_note_saved(sender: object, instance: CreditNote, created: bool, **_: Any) -> None:
    if not created:
        return
    data = {
        "invoice": str(instance.invoice.public_id), "number": instance.number, "currency": instance.invoice.currency,
        "total": Money(instance.total, instance.currency).decimal_string(),
    }  # fmt: skip
    owe(instance.invoice.tenant, events.CREDIT_NOTE_ISSUED, f"credit-note-{instance.pk}", data, instance.issued_at)
