from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.database.audit_triggers import append_only, audited
from tenants.models import BillingPeriod, Tenant

from ..money import Money
from .invoice_triggers import frozen_invoice, frozen_lines, no_truncate, only_counts_up

MOST_GRACE_HOURS = 24 * 35
"""The ledger takes nothing that is older."""
MOST_PAYMENT_DAYS = 365
ADJUSTED_FOR = timedelta(days=120)
"""Invoiced periods older than this take no more adjustments: the ledger refuses events that are older than 35 days anyway."""


class LegalEntity(models.Model):
    """Who invoices: the seller that stands on the document, with a gapless number sequence of its own."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    address = models.TextField(max_length=500, blank=True)
    country = models.CharField(max_length=2, blank=True, help_text=_("ISO 3166 code, such as CH."))
    tax_id = models.CharField(max_length=40, blank=True)
    email = models.EmailField(blank=True)
    prefix = models.CharField(
        max_length=12, default="INV", help_text=_("INV makes INV-000001; credit notes read INV-CN-000001.")
    )
    grace_hours = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MOST_GRACE_HOURS)],
        help_text=_(
            "Hours after a month's end in which late usage still flows in. Empty: as INVOICE_GRACE_HOURS says."
        ),
    )
    payment_days = models.PositiveSmallIntegerField(
        default=30,
        db_default=30,
        validators=[MaxValueValidator(MOST_PAYMENT_DAYS)],
        help_text=_("Days after issue until an invoice is due."),
    )
    payment_details = models.TextField(
        max_length=500,
        blank=True,
        db_default="",
        help_text=_("Printed on invoices: where to pay, such as bank and IBAN."),
    )
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["slug"]
        verbose_name_plural = "legal entities"
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="metering_entity_one_default"
            ),
            models.UniqueConstraint(fields=["prefix"], name="metering_entity_prefix"),
            models.CheckConstraint(
                condition=models.Q(grace_hours=None) | models.Q(grace_hours__gte=0, grace_hours__lte=MOST_GRACE_HOURS),
                name="metering_entity_grace",
            ),
            models.CheckConstraint(
                condition=models.Q(payment_days__lte=MOST_PAYMENT_DAYS), name="metering_entity_payment_days"
            ),
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return self.name


class NumberSequence(models.Model):
    """The next free number of a legal entity's documents of one kind, taken under a row lock so that no number is skipped."""

    entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT, related_name="sequences")
    kind = models.CharField(max_length=12)
    next_number = models.PositiveIntegerField(default=1)
    last_hash = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entity", "kind"], name="metering_sequence_entity_kind")]
        triggers = [only_counts_up(), no_truncate()]

    def __str__(self) -> str:
        return f"{self.entity} {self.kind}: {self.next_number}"


class TaxRate(models.Model):
    """A rule that an invoice's tax follows: a rate as a part of one, or reverse charge with the words that the law asks for."""

    name = models.CharField(max_length=80, unique=True)
    rate = models.DecimalField(
        max_digits=7,
        decimal_places=6,
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(1))],
        help_text=_("0.081 is 8.1 %."),
    )
    reverse_charge = models.BooleanField(default=False)
    note = models.CharField(max_length=300, blank=True, help_text=_("Printed under the total."))
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="metering_taxrate_one_default"
            ),
            models.CheckConstraint(
                condition=models.Q(rate__gte=0, rate__lte=1), name="metering_taxrate_between_0_and_1"
            ),
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return self.name


class BillingProfile(models.Model):
    """Whom a tenant's invoices are made out to, by which entity, and under which tax rule. Empty fields take the defaults."""

    tenant = models.OneToOneField(Tenant, on_delete=models.PROTECT, related_name="billing_profile")
    legal_name = models.CharField(max_length=120, blank=True)
    address = models.TextField(max_length=500, blank=True)
    country = models.CharField(max_length=2, blank=True)
    tax_id = models.CharField(max_length=40, blank=True)
    email = models.EmailField(blank=True, help_text=_("Invoices are announced to this address."))
    entity = models.ForeignKey(LegalEntity, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    tax_rate = models.ForeignKey(TaxRate, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        triggers = [audited()]

    def __str__(self) -> str:
        return self.legal_name or str(self.tenant)


class InvoiceState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    ISSUED = "issued", _("Issued")
    PAID = "paid", _("Paid")
    VOID = "void", _("Void")


INVOICE_TRANSITIONS = {
    InvoiceState.DRAFT: {InvoiceState.ISSUED},
    InvoiceState.ISSUED: {InvoiceState.PAID, InvoiceState.VOID},
    InvoiceState.PAID: set(),
    InvoiceState.VOID: set(),
}


class Invoice(models.Model):
    """A tenant's bill for one billing period. A draft is recomputed at will; once issued it is a frozen snapshot, never a join.

    `snapshot` is canonical JSON of parties, prices, tax, lines and evidence; `hash` covers it and `previous_hash`, the hash of the
    same entity's document before it. Database triggers refuse every later change but the state's own transitions.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="invoices")
    period = models.ForeignKey(BillingPeriod, on_delete=models.PROTECT, related_name="+")
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=6, choices=InvoiceState.choices, default=InvoiceState.DRAFT)
    entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT, related_name="invoices")
    number = models.CharField(max_length=30, blank=True)
    sequence = models.PositiveIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    subtotal = models.DecimalField(max_digits=18, decimal_places=3, default=Decimal(0))
    tax = models.DecimalField(max_digits=18, decimal_places=3, default=Decimal(0))
    total = models.DecimalField(max_digits=18, decimal_places=3, default=Decimal(0))
    issue_after = models.DateTimeField(help_text=_("End of the grace time in which late events still flow in."))
    computed_at = models.DateTimeField(default=timezone.now)
    content = models.CharField(
        max_length=64, blank=True, db_default="", help_text=_("A digest of what the draft was last written from.")
    )
    issued_at = models.DateTimeField(null=True, blank=True)
    due_on = models.DateField(null=True, blank=True, help_text=_("The last day to pay, in the tenant's time zone."))
    paid_at = models.DateTimeField(null=True, blank=True)
    voided_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.CharField(max_length=300, blank=True)
    snapshot = models.TextField(blank=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-period__starts_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "period"], condition=~models.Q(state="void"), name="metering_invoice_tenant_period"
            ),
            models.UniqueConstraint(fields=["tenant", "public_id"], name="metering_invoice_tenant_public_id"),
            models.UniqueConstraint(fields=["entity", "sequence"], name="metering_invoice_entity_sequence"),
            models.CheckConstraint(
                condition=models.Q(total=models.F("subtotal") + models.F("tax")), name="metering_invoice_adds_up"
            ),
        ]
        triggers = [frozen_invoice(), no_truncate(), audited(ignore=["computed_at", "content", "snapshot"])]

    def __str__(self) -> str:
        return self.number or f"{self.get_state_display()} {self.period.key}"

    def is_overdue(self, now: datetime) -> bool:
        """Whether the last day to pay is over and something is still open; the day is that of the period's time zone."""
        if self.state != InvoiceState.ISSUED or self.due_on is None or self.total <= 0:
            return False
        return now.astimezone(ZoneInfo(self.period.time_zone)).date() > self.due_on


class InvoiceLine(models.Model):
    """One line, rounded once. `detail` explains it: price versions, the steps of the arithmetic, usage by dimension, evidence."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=12)
    key = models.CharField(
        max_length=200, help_text=_("Names the line within its period; adjustments find it by this.")
    )
    origin_period = models.CharField(
        max_length=7, blank=True, help_text=_("Adjustments: the period that they belong to.")
    )
    meter = models.CharField(max_length=40, blank=True)
    description = models.CharField(max_length=300)
    quantity = models.DecimalField(max_digits=30, decimal_places=6)
    unit = models.CharField(max_length=20, blank=True)
    unit_price = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    amount = models.DecimalField(max_digits=18, decimal_places=3)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["invoice", "position"]
        constraints = [models.UniqueConstraint(fields=["invoice", "position"], name="metering_invoiceline_position")]
        triggers = [frozen_lines(), no_truncate()]

    def __str__(self) -> str:
        return self.description


class CreditNote(models.Model):
    """Money given back on an issued invoice, in part or in full; numbered, hashed and frozen like the invoice."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=30)
    sequence = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    subtotal = models.DecimalField(max_digits=18, decimal_places=3)
    tax = models.DecimalField(max_digits=18, decimal_places=3)
    total = models.DecimalField(max_digits=18, decimal_places=3)
    reason = models.CharField(max_length=300)
    issued_at = models.DateTimeField()
    snapshot = models.TextField()
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-issued_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="metering_creditnote_tenant_public_id"),
            models.UniqueConstraint(fields=["entity", "sequence"], name="metering_creditnote_entity_sequence"),
            models.CheckConstraint(condition=models.Q(total__gt=0), name="metering_creditnote_positive"),
            models.CheckConstraint(
                condition=models.Q(total=models.F("subtotal") + models.F("tax")), name="metering_creditnote_adds_up"
            ),
        ]
        triggers = [*append_only(), audited(ignore=["snapshot"])]

    def __str__(self) -> str:
        return self.number


class Payment(models.Model):
    """Money received for an invoice, recorded by hand or by a payment provider; `reference` makes a repeated notice harmless."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    amount = models.DecimalField(max_digits=18, decimal_places=3, validators=[MinValueValidator(Decimal("0.001"))])
    currency = models.CharField(max_length=3)
    method = models.CharField(max_length=40)
    reference = models.CharField(max_length=120)
    received_at = models.DateTimeField()
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-received_at"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "method", "reference"], name="metering_payment_once"),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="metering_payment_positive"),
        ]
        triggers = [*append_only(), audited()]

    def __str__(self) -> str:
        return f"{Money(self.amount, self.currency)}, {self.reference}"


class InvoiceDocument(models.Model):
    """The bytes of a rendered document, kept from the first rendering on, so that a PDF never changes under its reader."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="documents")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["invoice", "kind"], name="metering_document_once")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.invoice} {self.kind}"
