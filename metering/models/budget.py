from __future__ import annotations

import uuid
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.database.audit_triggers import audited
from tenants.models import Tenant
from tenants.models.tenant import CURRENCIES

from ..money import round_line


def in_minor_units(amount: Decimal, currency: str) -> str:
    """'100.00 USD', '100 JPY', '25.125 KWD'."""
    return f"{round_line(amount, currency).decimal_string()} {currency}"


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


class BudgetAction(models.TextChoices):
    """What happens at a threshold besides the notice, mildest first: the ladder."""

    NOTIFY = "notify", _("Only tell")
    THROTTLE = "throttle", _("Slow down calls")
    BLOCK_GPU = "block_gpu", _("Refuse new GPU reservations")
    BLOCK = "block", _("Refuse calls")


class Budget(models.Model):
    """An amount that a tenant (or, without a tenant, the whole platform) wants to stay under in a period of its own time zone.

    Amounts have the digits of their currency, at most three (fils). With `percent_of_last` the amount is that share of what the period before has cost, at least `floor`; it is worked out once in each
    period and kept in `amount`, `settled_for` says for which one. One that was ended is not active and stays, with its alerts.
    """

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
    amount = models.DecimalField(max_digits=17, decimal_places=3, validators=[MinValueValidator(Decimal("0.001"))])
    currency = models.CharField(max_length=3, default="USD", choices=[(code, code) for code in CURRENCIES])
    percent_of_last = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        verbose_name=_("% of the period before"),
        help_text=_("Empty: the amount is fixed."),
    )
    floor = models.DecimalField(
        max_digits=17,
        decimal_places=3,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.001"))],
        verbose_name=_("but at least"),
    )
    settled_for = models.CharField(max_length=7, blank=True, default="", db_default="", editable=False)
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
                fields=["tenant", "name"],
                condition=models.Q(is_active=True),
                name="metering_budget_tenant_name",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(percent_of_last__isnull=True) | models.Q(floor__isnull=False),
                name="metering_budget_share_has_floor",
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
        return f"{self.name}: {in_minor_units(self.amount, self.currency)}"


class BudgetThreshold(models.Model):
    """At `percent` of the budget, tell `recipients` (none: the tenant's owners, admins and billing contacts) and take `action`."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="thresholds")
    tenant = models.ForeignKey(
        Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    percent = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(1000)])
    recipients = ArrayField(models.EmailField(), default=list, blank=True)
    action = models.CharField(
        max_length=10, choices=BudgetAction.choices, default=BudgetAction.NOTIFY, db_default="notify"
    )

    class Meta:
        ordering = ["budget", "percent"]
        constraints = [models.UniqueConstraint(fields=["budget", "percent"], name="metering_threshold_once")]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.percent} %"


class BudgetAlert(models.Model):
    """A threshold was crossed in a period: once per budget, period and percent, however often it is looked at.

    `cleared_at` is set when a raised budget brought the cost back under the mark: then a new crossing is news again. `action` is what
    was done because of it; while it stands and the threshold says the same, it is not done a second time. `told` are the addresses that
    heard of it (null: kept before that was written down), for whom a later "back under" is news.
    """

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="alerts")
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="budget_alerts")
    period_key = models.CharField(max_length=7)
    percent = models.PositiveSmallIntegerField()
    cost = models.DecimalField(max_digits=17, decimal_places=3)
    amount = models.DecimalField(max_digits=17, decimal_places=3)
    currency = models.CharField(max_length=3, default="USD")
    crossed_at = models.DateTimeField(default=timezone.now)
    action = models.CharField(
        max_length=10, choices=BudgetAction.choices, default=BudgetAction.NOTIFY, db_default="notify"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=160, blank=True, default="", db_default="")
    acknowledged_note = models.CharField(max_length=300, blank=True, default="", db_default="")
    cleared_at = models.DateTimeField(null=True, blank=True)
    told = ArrayField(models.EmailField(), null=True, blank=True, editable=False)

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
        return f"{self.percent} % of {in_minor_units(self.amount, self.currency)}, {self.period_key}"
