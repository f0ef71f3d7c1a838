"""What was invoiced of a month, beside what the month comes to today: late usage, corrections and forced prices lie between the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.utils.translation import gettext as _

from metering.costing import costs
from metering.models import Invoice, InvoiceLine, InvoiceState
from metering.money import Money
from tenants.models import Tenant

OUT = (InvoiceState.ISSUED, InvoiceState.PAID)
MOST_NAMED = 3


class LineAmounts(NamedTuple):
    """What one line of the month was invoiced at, and what was settled of it on later invoices."""

    invoiced: Decimal
    adjusted: Decimal


@dataclass(slots=True)
class Comparison:
    """The invoices of one month in one currency, before tax: `today` = `invoiced` + `adjusted` + `unsettled`.

    `carried` is on the same invoices and settles earlier months; `adjusted` is of this month and on later ones, `adjusted_on`.
    """

    currency: str
    invoices: list[Invoice] = field(default_factory=list)
    invoiced: Decimal = Decimal(0)
    carried: Decimal = Decimal(0)
    adjusted: Decimal = Decimal(0)
    adjusted_on: list[str] = field(default_factory=list)
    today: Decimal = Decimal(0)

    @property
    def unsettled(self) -> Decimal:
        """What the next invoice will settle."""
        return self.today - self.invoiced - self.adjusted

    def sentences(self) -> list[str]:
        """The comparison in words; the first says what was invoiced, the others why this is not what the month comes to today."""
        say = self._say
        names = _names([invoice.number for invoice in self.invoices])
        found = [
            _("%(names)s came to %(amount)s before tax.")
            % {"names": names, "amount": say(self.invoiced + self.carried)}
        ]
        if self.carried:
            found.append(_("Of it, %(amount)s settles earlier months.") % {"amount": say(self.carried)})
        if self.adjusted:
            words = {"amount": say(self.adjusted), "names": _names(self.adjusted_on)}
            found.append(_("What changed afterwards was settled with %(amount)s on %(names)s.") % words)
        if self.unsettled:
            found.append(
                _(
                    "Since then late usage, a correction or a price published after the fact changed it by %(amount)s: the next invoice settles it."
                )
                % {"amount": say(self.unsettled)}
            )
        return found

    def _say(self, amount: Decimal) -> str:
        return str(Money(amount, self.currency))


def compare(
    tenants: Sequence[Tenant], month: str, now: datetime, today: Mapping[str, Decimal], *, meter: str = ""
) -> list[Comparison]:
    """By currency, the invoices of these tenants' local month. Nothing where none is issued.

    `today` is what all of the tenants come to, by currency; whose month is not invoiced is taken off it. `meter` restricts to one.
    """
    invoices = list(
        Invoice.objects.filter(tenant__in=[tenant.pk for tenant in tenants], period__key=month, state__in=OUT)
        .defer("snapshot")
        .order_by("number")
    )
    if not invoices:
        return []
    found: dict[str, Comparison] = {}
    whose = {invoice.tenant_id for invoice in invoices}
    for invoice in invoices:
        its = found.setdefault(
            invoice.currency, Comparison(invoice.currency, today=today.get(invoice.currency, Decimal(0)))
        )
        its.invoices.append(invoice)
    for row in _lines(whose, month, meter):
        bill = found.get(row.currency)
        if bill is None:
            continue
        if row.period == month and not row.origin:
            bill.invoiced += row.amount
        elif row.period == month:
            bill.carried += row.amount
        else:
            bill.adjusted += row.amount
            bill.adjusted_on += [row.number] if row.number not in bill.adjusted_on else []
    waiting = [tenant for tenant in tenants if tenant.pk not in whose]
    for statement in costs.statements(waiting, now, month) if waiting else ():
        if statement.currency in found:
            amounts = (line.amount.amount for line in statement.lines if not meter or line.meter == meter)
            found[statement.currency].today -= sum(amounts, Decimal(0))
    return [found[currency] for currency in sorted(found)]


def of_lines(tenant: Tenant, month: str) -> dict[str, LineAmounts]:
    """By line key, what each line of the tenant's month was invoiced at, and adjusted since; empty where the month is not invoiced."""
    found: dict[str, LineAmounts] = {}
    for row in _lines({tenant.pk}, month, ""):
        if row.period == month and row.origin:
            continue
        nothing, amount = Money.zero(row.currency).amount, Money(row.amount, row.currency).amount
        before = found.get(row.key, LineAmounts(nothing, nothing))
        if row.period == month:
            found[row.key] = before._replace(invoiced=before.invoiced + amount)
        else:
            found[row.key] = before._replace(adjusted=before.adjusted + amount)
    return found


class _Row(NamedTuple):
    period: str
    number: str
    currency: str
    origin: str
    key: str
    amount: Decimal


def _lines(tenant_ids: set[int], month: str, meter: str) -> list[_Row]:
    """The lines of the month's invoices, and of later ones those that settle this month."""
    rows = InvoiceLine.objects.filter(tenant__in=tenant_ids, invoice__state__in=OUT)
    if meter:
        rows = rows.filter(meter=meter)
    names = ("invoice__period__key", "invoice__number", "invoice__currency", "origin_period", "key", "amount")
    own = rows.filter(invoice__period__key=month).order_by().values_list(*names)
    later = rows.filter(origin_period=month).order_by().values_list(*names)
    return [_Row(*row) for row in [*own, *later]]


def _names(numbers: Sequence[str]) -> str:
    if len(numbers) <= MOST_NAMED:
        return ", ".join(numbers)
    return _("%(count)d invoices") % {"count": len(numbers)}
