"""The cost explorer for pages: the question out of the address, chart, table and files of the answer. Portal and admin share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, QueryDict
from django.utils.translation import gettext as _

from metering.files.exports import Cell
from metering.finance import invoiced
from metering.finance.explorer import GROUPS, Entry, Exploration, GroupBy
from metering.finance.invoiced import Comparison
from metering.models import Meter
from metering.money import Money
from tenants.models import Tenant

from ..downloads.files import csv_response, xlsx_response
from ..drawing import components
from ..drawing.charts import Chart, Series, currency_sign
from ..writing import formats

TOP = 12
"""Groups that the chart shows; the table shows all."""


@dataclass(frozen=True)
class Question:
    """What the address asks: month, by what, of which meter ("" for all)."""

    month: str
    group_by: GroupBy
    meter: str

    def url(self, **changed: str) -> str:
        """The address of this question with something else about it."""
        values = {"month": self.month, "group_by": self.group_by, "meter": self.meter, **changed}
        return "?" + urlencode({name: value for name, value in values.items() if value})


def question(query: QueryDict, month: str, meters: Mapping[str, Meter], *, default: GroupBy) -> Question:
    """What is not understood is taken for the default."""
    group = query.get("group_by", "")
    meter = query.get("meter", "")
    return Question(month, group if group in GROUPS else default, meter if meter in meters else "")


def group_labels() -> dict[str, str]:
    """What costs can be split by, in words."""
    return {
        "tenant": _("tenant"),
        "meter": _("meter"),
        "model": _("GPU model or storage class"),
        "day": _("day"),
        "project": _("project"),
        "user": _("user"),
        "api_key": _("API key"),
        "route_class": _("route class"),
    }


def compared(found: Exploration, tenants: Sequence[Tenant], now: datetime) -> list[Comparison]:
    """What was invoiced of the month, beside what the answer says; nothing where no invoice is issued."""
    today = {currency: amount for currency, (amount, _before) in found.totals().items()}
    return invoiced.compare(tenants, found.month, now, today, meter=found.meter)


def context(
    found: Exploration, asked: Question, meters: Mapping[str, Meter], bills: Sequence[Comparison], *, over_all: bool
) -> dict[str, Any]:
    """What the template needs. `bills` is what `compared` found."""
    unit = meters[asked.meter].billing_unit if asked.meter else ""
    totals = found.totals()
    return {
        "asked": asked,
        "found": found,
        "groups": [
            (key, formats.upper_first(label)) for key, label in group_labels().items() if over_all or key != "tenant"
        ],
        "meters": [("", _("All meters")), *((meter.key, meter.name) for meter in meters.values())],
        "head": formats.upper_first(group_labels()[found.group_by]),
        "unit": unit,
        "rows": [_row(each, totals[each.currency][0], unit) for each in found.entries],
        "sums": [
            {
                "currency": currency,
                "amount": formats.money(now, currency),
                "before": formats.money(before, currency),
                "change": _change(now, before),
                "now": now,
                "was": before,
            }
            for currency, (now, before) in totals.items()
        ],
        "invoiced": [{"title": first, "text": " ".join(rest)} for first, *rest in (each.sentences() for each in bills)],
        "chart": _chart(found, asked),
        "csv_url": asked.url(format="csv"),
        "xlsx_url": asked.url(format="xlsx"),
    }


def file(found: Exploration, name: str, kind: str, bills: Sequence[Comparison]) -> HttpResponse | None:
    """The answer as a file of that kind; None for a kind that is not one. Each row says what was invoiced of the whole month."""
    header = [
        "month", found.group_by, "label", "amount", f"amount {found.previous}", "change", "currency", "quantity", "invoiced of the whole month",
    ]  # fmt: skip
    said = {each.currency: " ".join(each.sentences()) for each in bills}
    rows: list[list[Cell]] = [
        [
            found.month,
            each.group,
            each.label,
            Money(each.amount, each.currency).amount,
            Money(each.before, each.currency).amount,
            Money(each.change, each.currency).amount,
            each.currency,
            each.quantity,
            said.get(each.currency, "not invoiced yet"),
        ]
        for each in found.entries
    ]
    filename = f"{name}-by-{found.group_by.replace('_', '-')}-{found.month}"
    if kind == "csv":
        return csv_response(f"{filename}.csv", header, rows)
    if kind == "xlsx":
        return xlsx_response(f"{filename}.xlsx", f"Costs {found.month}", header, rows)
    return None


def _row(each: Entry, total: Decimal, unit: str) -> dict[str, Any]:
    return {
        "group": each.group,
        "label": each.label or _("not said"),
        "amount": formats.money(each.amount, each.currency),
        "before": formats.money(each.before, each.currency) if each.before else "–",
        "change": _change(each.amount, each.before),
        "now": each.amount,
        "was": each.before,
        "percent": each.amount / total * 100 if total > 0 and each.amount > 0 else Decimal(0),
        "quantity": formats.quantity(each.quantity, unit) if each.quantity is not None else "",
    }


def _change(now: Decimal, before: Decimal) -> str:
    """'+12%'; 'new' where there was nothing before."""
    return components.diff(now, before).text


def _chart(found: Exploration, asked: Question) -> Chart | None:
    """The currency with the most groups: this month beside the month before."""
    counts: dict[str, int] = {}
    for each in found.entries:
        counts[each.currency] = counts.get(each.currency, 0) + 1
    if not counts:
        return None
    currency = max(counts, key=lambda each: (counts[each], each))
    mine = [each for each in found.entries if each.currency == currency]
    shown: Sequence[Entry] = mine if found.group_by == "day" else mine[:TOP]
    return Chart(
        id="chart-explorer",
        title=_("Cost by %(group)s") % {"group": group_labels()[found.group_by]},
        kind="line" if found.group_by == "day" else "hbar",
        x=[each.group or "–" for each in shown],
        labels=[
            formats.day(date.fromisoformat(each.group), "UTC", year=False)
            if found.group_by == "day"
            else each.label or _("not said")
            for each in shown
        ],
        series=[
            Series(formats.month(found.month), "series-1", [each.amount for each in shown]),
            Series(formats.month(found.previous), "series-before", [each.before for each in shown]),
        ],
        fmt=lambda value: formats.money(value, currency),
        x_title=formats.upper_first(group_labels()[found.group_by]),
        prefix=currency_sign(currency),
        extra={"barmode": "group"},
    )
