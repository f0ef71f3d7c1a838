from __future__ import annotations

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.database.audit_triggers import audited, immutable
from tenants.models import Tenant, Tier
from tenants.models.tenant import CURRENCIES

from .invoice_triggers import no_truncate
from .price_triggers import frozen_once_started, frozen_prices, frozen_version, keeps_its_past, one_book_at_a_time


class ChargeModel(models.TextChoices):
    PER_UNIT = "per_unit", _("Per unit")
    GRADUATED = "graduated", _("Graduated")
    VOLUME = "volume", _("Volume")
    PACKAGE = "package", _("Package")
    FLAT = "flat", _("Flat monthly fee")


class PriceBook(models.Model):
    """A named list of prices in one currency, kept as versions with a start."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    currency = models.CharField(max_length=3, default="USD", choices=[(code, code) for code in CURRENCIES])
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="metering_pricebook_one_default"
            )
        ]
        triggers = [immutable("currency"), no_truncate(), audited()]

    def __str__(self) -> str:
        return self.name


class PriceBookVersion(models.Model):
    """Prices from `starts_at` until the next published version starts. Once published and started it never changes."""

    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    starts_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["book", "-starts_at"]
        constraints = [
            models.UniqueConstraint(fields=["book", "number"], name="metering_version_book_number"),
            models.UniqueConstraint(fields=["book", "starts_at"], name="metering_version_book_start"),
        ]
        triggers = [frozen_version(), no_truncate(), audited()]

    def __str__(self) -> str:
        return f"{self.book} v{self.number}"


class Price(models.Model):
    """The charge for a meter, or for one dimension value of it (`dim_key`="model", `dim_value`="H100").

    `unit_price` is per billing unit (call, GPU hour, GB-month). `params` holds what the charge model needs beyond it:
    graduated and volume {"tiers":[{"up_to":"1000","unit_price":"0.01","flat":"0"},…]}, package {"size":"100"},
    any model {"allowance":"1000"}, {"minimum":"50.00","overage_factor":"1.5"}; amounts as decimal strings.
    """

    version = models.ForeignKey(PriceBookVersion, on_delete=models.CASCADE, related_name="prices")
    meter = models.CharField(max_length=40)
    charge_model = models.CharField(max_length=10, choices=ChargeModel.choices, default=ChargeModel.PER_UNIT)
    unit_price = models.DecimalField(max_digits=20, decimal_places=10, validators=[MinValueValidator(Decimal(0))])
    params = models.JSONField(default=dict, blank=True)
    dim_key = models.CharField(max_length=40, blank=True)
    dim_value = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["version", "meter", "dim_key", "dim_value"]
        constraints = [
            models.UniqueConstraint(fields=["version", "meter", "dim_key", "dim_value"], name="metering_price_once"),
            models.CheckConstraint(condition=models.Q(unit_price__gte=0), name="metering_price_not_negative"),
        ]
        triggers = [frozen_prices(), no_truncate(), audited()]

    def __str__(self) -> str:
        return f"{self.meter} {self.dim_value or ''} {self.unit_price}".replace("  ", " ")


class TierPriceBook(models.Model):
    """The book that a tier's tenants pay by, from `starts_at` until the tier's next one starts. Before the first: the default book."""

    tier = models.ForeignKey(Tier, on_delete=models.CASCADE, related_name="price_books")
    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["tier", "-starts_at"]
        constraints = [models.UniqueConstraint(fields=["tier", "starts_at"], name="metering_tierbook_tier_start")]
        triggers = [frozen_once_started(), no_truncate(), audited()]

    def __str__(self) -> str:
        return f"{self.tier} → {self.book}"


class TenantPriceBook(models.Model):
    """A book of one tenant's own, from `starts_at` until `ends_at`."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="price_books")
    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300)

    class Meta:
        ordering = ["tenant", "-starts_at"]
        constraints = [models.UniqueConstraint(fields=["tenant", "starts_at"], name="metering_tenantbook_tenant_start")]
        triggers = [one_book_at_a_time(), keeps_its_past(), no_truncate(), audited()]

    def __str__(self) -> str:
        return f"{self.tenant} → {self.book}"

    def clean(self) -> None:
        """Say in words what the database would refuse."""
        if self.starts_at is None or self.tenant_id is None:
            return
        if self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": _("The end lies after the start.")})
        others = (
            TenantPriceBook.objects.filter(tenant=self.tenant_id)
            .exclude(pk=self.pk)
            .exclude(ends_at__lte=self.starts_at)
        )
        if (others.filter(starts_at__lt=self.ends_at) if self.ends_at else others).exists():
            raise ValidationError({"starts_at": _("The tenant has another book of its own in that time.")})
