"""Setting a tenant's budgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from metering import price_books
from metering.models import Budget, BudgetThreshold
from metering.money import Money, MoneyError
from tenants.audit import acting
from tenants.models import Tenant
from tenants.problems import FieldError, Invalid

MOST_THRESHOLDS = 10
MOST_RECIPIENTS = 20
HIGHEST = Decimal(10) ** 14


def set_budget(
    tenant: Tenant,
    amount: Decimal,
    thresholds: Iterable[int],
    actor: str,
    *,
    recipients: Sequence[str] | None = None,
    reason: str = "",
) -> Budget:
    """Set the tenant's primary monthly budget, in the currency that the tenant is billed in; makes it when there is none.

    `thresholds` are whole percentages; `recipients` are told at each of them (empty: owners, admins and billing; None: as before).
    Raises problems.Invalid, naming every wrong field.
    """
    marks = list(thresholds)
    currency = _billed_in(tenant)
    errors = [*_amount_errors(amount, currency), *_threshold_errors(marks), *_recipient_errors(recipients)]
    if errors:
        raise Invalid(*errors)
    with acting(actor, reason), transaction.atomic():
        budget, _ = Budget.objects.select_for_update(of=("self",)).get_or_create(
            tenant=tenant, is_primary=True, defaults={"amount": amount, "currency": currency}
        )
        budget.amount, budget.currency, budget.is_active = amount, currency, True
        budget.save(update_fields=["amount", "currency", "is_active"])
        _set_thresholds(budget, marks, recipients)
    return budget


def _billed_in(tenant: Tenant) -> str:
    """The currency of the tenant's prices: what a budget is compared with."""
    try:
        return price_books.book_for(tenant, timezone.now()).currency
    except price_books.NoPriceBookError:
        return tenant.currency


def _set_thresholds(budget: Budget, marks: Sequence[int], addresses: Sequence[str] | None) -> None:
    present = {threshold.percent: threshold for threshold in budget.thresholds.all()}
    budget.thresholds.exclude(percent__in=marks).delete()
    for percent in sorted(marks):
        threshold = present.get(percent) or BudgetThreshold(budget=budget, tenant_id=budget.tenant_id, percent=percent)
        wanted = threshold.recipients if addresses is None else list(addresses)
        if threshold.pk is None or threshold.recipients != wanted:
            threshold.recipients = wanted
            threshold.save()


def _amount_errors(amount: Decimal, currency: str) -> list[FieldError]:
    if not isinstance(amount, Decimal) or not amount.is_finite() or not 0 < amount < HIGHEST:
        return [FieldError("/amount", "invalid", "A budget is an amount above zero and below 100 trillion.")]
    try:
        Money(amount, currency)
    except MoneyError:
        return [FieldError("/amount", "invalid", f"{currency} has no amounts as fine as {amount:f}.")]
    if amount != round(amount, 2):
        return [FieldError("/amount", "invalid", "A budget has at most two digits after the point.")]
    return []


def _threshold_errors(marks: Sequence[int]) -> list[FieldError]:
    if not all(isinstance(mark, int) and not isinstance(mark, bool) and 1 <= mark <= 1000 for mark in marks):
        return [FieldError("/thresholds", "invalid", "Thresholds are whole percentages from 1 to 1000.")]
    if len(set(marks)) != len(marks):
        return [FieldError("/thresholds", "duplicate", "Each threshold is named once.")]
    if not 1 <= len(marks) <= MOST_THRESHOLDS:
        return [FieldError("/thresholds", "invalid", f"A budget has 1 to {MOST_THRESHOLDS} thresholds.")]
    return []


def _recipient_errors(addresses: Sequence[str] | None) -> list[FieldError]:
    if len(addresses or ()) > MOST_RECIPIENTS:
        return [
            FieldError("/recipients", "invalid", f"At most {MOST_RECIPIENTS} addresses; use a mailing list for more.")
        ]
    errors = []
    for position, address in enumerate(addresses or ()):
        try:
            validate_email(address)
        except ValidationError:
            errors.append(FieldError(f"/recipients/{position}", "invalid", "This is not a single e-mail address."))
    return errors
