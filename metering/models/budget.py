from __future__ import annotations

import uuid
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.audit_triggers import audited
from tenants.models import Tenant
from tenants.models.tenant import CURRENCIES


class BudgetPeriod(models.TextChoices):
    MONTH = "month", _("Calendar month")
    QUARTER = "quarter", _("Calendar quarter")


class BudgetScope(models.TextChoices):
    ALL = "all", _("Everything")
    METER = "meter", _("One meter")
    PROJECT = "project", _("One project label")


class BudgetBasis(models.TextChoices):
    ACTUAL = "actual", _("Cost so far")
    FORECAST = "forecast", _("Forecast for the period")


class Budget(models.Model):
    """An amount that a tenant (or, without a tenant, the whole platform) wants to stay under in a period of its own time zone."""

    tenant = models.ForeignKey(
        Tenant,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="budgets",
        help_text=_("Empty for the platform's own budget."),
    )
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, default="Monthly budget")
    amount = models.DecimalField(max_digits=16, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))])
    currency = models.CharField(max_length=3, default="USD", choices=[(code, code) for code in CURRENCIES])
    period = models.CharField(max_length=7, choices=BudgetPeriod.choices, default=BudgetPeriod.MONTH)
    scope = models.CharField(max_length=7, choices=BudgetScope.choices, default=BudgetScope.ALL)
    scope_value = models.CharField(max_length=80, blank=True)
    basis = models.CharField(max_length=8, choices=BudgetBasis.choices, default=BudgetBasis.ACTUAL)
    is_primary = models.BooleanField(default=True, help_text=_("The one that the overview shows and /budget returns."))
    is_active = models.BooleanField(default=True)
    muted_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["tenant", "-is_primary", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"], name="metering_budget_tenant_name", nulls_distinct=False
            ),
            models.UniqueConstraint(
                fields=["tenant"],
                condition=models.Q(is_primary=True),
                name="metering_budget_one_primary",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="metering_budget_positive"),
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.name}: {self.amount} {self.currency}"


class BudgetThreshold(models.Model):
    """At `percent` of the budget, tell `recipients` (none: the tenant's owners, admins and billing contacts)."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="thresholds")
    tenant = models.ForeignKey(
        Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    percent = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(1000)])
    recipients = ArrayField(models.EmailField(), default=list, blank=True)

    class Meta:
        ordering = ["budget", "percent"]
        constraints = [models.UniqueConstraint(fields=["budget", "percent"], name="metering_threshold_once")]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.percent} %"


class BudgetAlert(models.Model):
    """A threshold was crossed in a period: once per budget, period and percent, however often it is looked at.

    `cleared_at` is set when a raised budget brought the cost back under the mark: then a new crossing is news again.
    """

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="alerts")
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="budget_alerts")
    period_key = models.CharField(max_length=7)
    percent = models.PositiveSmallIntegerField()
    cost = models.DecimalField(max_digits=16, decimal_places=2)
    amount = models.DecimalField(max_digits=16, decimal_places=2)
    currency = models.CharField(max_length=3, default="USD")
    crossed_at = models.DateTimeField(default=timezone.now)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-crossed_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "period_key", "percent"],
                condition=models.Q(cleared_at__isnull=True),
                name="metering_budgetalert_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.amount} {self.currency}, {self.period_key}"
