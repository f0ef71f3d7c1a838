"""GPU hours of a tenant: who used which model when, what of that lay idle and what it cost, energy and CO₂e."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering import periods
from metering.files.exports import Cell
from metering.gpu_use import held, idle, prices
from metering.gpu_use.energy import Factors
from metering.gpu_use.held import TenantUse, Use
from metering.gpu_use.settings import factors
from metering.models import Meter
from metering.usage import queries
from tenants.access import Access
from tenants.models import Role, Tenant

from ..downloads.files import csv_response, report
from ..drawing.components import share
from ..frame.pages import Page, tenant_page
from ..times import ranges
from ..times.ranges import Range
from ..usage.usage_charts import usage_chart
from ..writing import formats
from ..writing.meters import all_meters
from .gpu_charts import energy_chart, held_chart, hours_of

SPLITS = ("model", "user")
SAME_WITHIN = Decimal("0.01")
"""Billed and held that differ by less are the same to a reader: the newest minutes are on their way."""


@tenant_page("gpus")
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET ?range=|from=&to=&split=model|user&format=csv. A member sees their own hours by user; costs are for those who see costs."""
    now, tenant = timezone.now(), access.tenant
    chosen = ranges.parse({**request.GET.dict(), "granularity": "day"}, tenant.time_zone, now)
    split = request.GET.get("split", "")
    split = split if split in SPLITS else "model"
    buckets = list(periods.covering(tenant.time_zone, chosen.start, chosen.end, chosen.unit))
    if request.GET.get("format") == "csv":
        return report(lambda: _csv(tenant, chosen, held.of_tenant(tenant, buckets, now)))
    use = held.of_tenant(tenant, buckets, now)
    meter = all_meters()["gpu_hours"]
    own = access.membership if access.role == Role.MEMBER else None
    points = queries.usage_series(tenant, meter.key, chosen.start, chosen.end, chosen.unit, split, membership=own)
    names = {"model": _("model not said"), "user": _("services")}
    chart = usage_chart(
        tenant,
        meter,
        chosen,
        group=split,
        group_name=lambda value: value or names[split],
        now=now,
        points=points,
        csv_url=f"{reverse('web:usage', args=[tenant.slug])}?{_query(chosen, meter='gpu_hours', group_by=split)}&format=csv",
    )
    co2 = factors()
    idle_hours = {model: idle.hours(each.idle) for model, each in use.by_model().items()}
    wanted = {tenant: [model for model, hours in idle_hours.items() if hours]} if access.sees_costs else {}
    priced = prices.in_force(wanted, now)
    energy = {start: co2.kwh(each.joules) for start, each in use.by_start().items()}
    billed = sum((point.quantity for point in points), Decimal(0))
    context = {
        "chosen": chosen,
        "kept": [("split", split)],
        "presets": _presets(chosen, split),
        "splits": [
            {"url": f"?{_query(chosen, split=key)}", "label": label, "current": key == split}
            for key, label in (("model", _("By model")), ("user", _("By user")))
        ],
        "own_only": own is not None,
        "sees_costs": access.sees_costs,
        "chart": chart,
        "ranking": _ranking(points, names[split], meter),
        "split_label": _("Model") if split == "model" else _("User"),
        "held": held_chart(chosen, use.by_start(), csv_url=f"?{_query(chosen)}&format=csv"),
        "energy": energy_chart(chosen, energy, csv_url=f"?{_query(chosen)}&format=csv")
        if any(energy.values())
        else None,
        "tiles": _tiles(
            use,
            billed,
            co2,
            idle.cost_of(tenant, idle_hours, priced) if access.sees_costs else None,
            own_only=own is not None,
        ),
        "difference": "" if own is not None else _difference(billed, hours_of(use.total().held)),
        "models": _model_rows(tenant, use.by_model(), co2, idle_hours, priced),
        "factor": _factor(co2),
        "silent": use.silent,
        "last_hour": use.last_hour,
        "seen": bool(use.spent),
    }
    return Page("portal/gpus/gpus.html", context)


def _query(chosen: Range, **more: str) -> str:
    span = (
        {"range": chosen.preset}
        if chosen.preset != "custom"
        else {"from": chosen.first.isoformat(), "to": chosen.last.isoformat()}
    )
    return urlencode({**span, **more})


def _presets(chosen: Range, split: str) -> list[dict[str, Any]]:
    return [
        {"url": f"?{urlencode({'range': key, 'split': split})}", "label": label, "current": key == chosen.preset}
        for key, label in ranges.PRESETS.items()
    ]


def _share(part: float | None) -> str:
    return formats.percent(None if part is None else Decimal(str(part)) * 100)


def _difference(billed: Decimal, held: Decimal) -> str:
    """Why what is billed and what collectors saw held are not the same; "" where they are, or where no collector saw anything."""
    apart = abs(billed - held)
    if not held or apart <= max(billed, held) * SAME_WITHIN:
        return ""
    hours = formats.quantity(apart, "GPU hour")
    if held > billed:
        return _(
            "Collectors saw %(hours)s held that are not billed. A running reservation is billed when its hour is full, a reading within "
            "minutes; time that stays unbilled after that is the platform’s loss, not a charge to come."
        ) % {"hours": hours}
    return _(
        "%(hours)s are billed that no collector saw: usage that was sent as events, or reservations on nodes without a collector."
    ) % {"hours": hours}


def _tiles(use: TenantUse, billed: Decimal, co2: Factors, waste: Any, *, own_only: bool) -> list[dict[str, str]]:
    """The numbers on top. What is not known says so. With `own_only`, billed is the reader's own and the rest the whole tenant's."""
    total = use.total()
    emitted = co2.co2e_grams(total.joules)
    drawn = co2.kwh(total.joules)
    unseen = _("no collector has seen a GPU of yours in this range")
    held_hours = formats.quantity(hours_of(total.held), "GPU hour")
    known = _("known for %(known)s of %(held)s held") % {
        "known": formats.number(hours_of(total.known)),
        "held": held_hours,
    }
    billed_note = _("your own") if own_only else _("what was held, used or not")
    if total.held and not own_only:
        billed_note = _("collectors saw %(hours)s held") % {"hours": held_hours}
    idle_note = _("%(share)s of what is known") % {"share": _share(total.idle_share)}
    if waste is not None and total.idle:
        idle_note = _("%(share)s, %(cost)s at today’s price") % {
            "share": _share(total.idle_share),
            "cost": formats.money(waste),
        }
    return [
        {
            "label": _("Billed"),
            "value": formats.number(billed),
            "unit": formats.unit_name("GPU hour", billed),
            "note": billed_note,
        },
        {
            "label": _("Utilisation of what is held"),
            "value": _share(total.utilisation),
            "unit": "",
            "note": known if total.known else unseen,
        },
        {
            "label": _("Idle"),
            "value": formats.number(hours_of(total.idle)) if total.known else formats.NO_VALUE,
            "unit": formats.unit_name("GPU hour") if total.known else "",
            "note": idle_note if total.known else unseen,
        },
        {
            "label": _("Energy"),
            "value": formats.number(drawn),
            "unit": "kWh" if drawn is not None else "",
            "note": _emission(emitted) if drawn is not None else _("no GPU says what it draws"),
        },
    ]


def _emission(grams: Decimal | None) -> str:
    if grams is None:
        return _("CO₂e: no factor is set")
    return f"{formats.number(grams / 1000)} kg CO₂e"


def _factor(co2: Factors) -> str:
    """The factors behind energy and CO₂e, in a sentence."""
    pue = formats.number(co2.pue)
    if co2.grams_per_kwh is None:
        return _(
            "Energy is what the GPUs drew × PUE %(pue)s. The platform has set no grid factor, so CO₂e is not stated."
        ) % {"pue": pue}
    return _(
        "Energy is what the GPUs drew × PUE %(pue)s; CO₂e is energy × %(grams)s g per kWh, as the platform has set."
    ) % {
        "pue": pue,
        "grams": formats.number(co2.grams_per_kwh),
    }


def _model_rows(
    tenant: Tenant,
    by_model: Mapping[str, Use],
    co2: Factors,
    idle_hours: Mapping[str, Decimal],
    priced: Mapping[tuple[int, str], Decimal],
) -> list[dict[str, str]]:
    uses = list(by_model.values())
    drawn, emitted = [co2.kwh(each.joules) for each in uses], [co2.co2e_grams(each.joules) for each in uses]
    columns = {
        "held": formats.column(hours_of(each.held) for each in uses),
        "idle": formats.column(hours_of(each.idle) if each.known else None for each in uses),
        "energy": _with_unit(formats.column(drawn), "kWh"),
        "co2e": _with_unit(formats.column(None if each is None else each / 1000 for each in emitted), "kg"),
    }
    costs = [
        idle.cost_of(tenant, {model: idle_hours[model]}, priced) if use.known else None
        for model, use in by_model.items()
    ]
    return [
        {
            "model": model,
            "utilisation": _share(use.utilisation),
            "idle_share": _share(use.idle_share),
            "cost": formats.NO_VALUE if cost is None else formats.money(cost),
            **{name: texts[row] for name, texts in columns.items()},
        }
        for row, ((model, use), cost) in enumerate(zip(by_model.items(), costs, strict=True))
    ]


def _with_unit(texts: list[str], unit: str) -> list[str]:
    return [text if text == formats.NO_VALUE else f"{text} {unit}" for text in texts]


def _ranking(points: list[queries.Point], blank: str, meter: Meter) -> list[dict[str, Any]]:
    sums: dict[str, Decimal] = {}
    for point in points:
        sums[point.group or ""] = sums.get(point.group or "", Decimal(0)) + point.quantity
    whole = sum(sums.values(), Decimal(0))
    ranked = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    texts = formats.column(hours for _name, hours in ranked)
    return [
        {
            "name": name or blank,
            "color": min(number + 1, 8),
            "hours": texts[number],
            "percent": share(hours, whole),
        }
        for number, (name, hours) in enumerate(ranked)
    ]


def _csv(tenant: Tenant, chosen: Range, use: TenantUse) -> HttpResponse:
    """What was held by day and model; empty cells are not known."""
    co2 = factors()
    header = [
        "start",
        "model",
        "held_gpu_hours",
        "known_gpu_hours",
        "used_gpu_hours",
        "idle_gpu_hours",
        "kwh",
        "co2e_g",
    ]
    rows: list[list[Cell]] = [
        [
            each.start,
            each.model,
            hours_of(each.use.held),
            hours_of(each.use.known),
            hours_of(each.use.busy) if each.use.known else None,
            hours_of(each.use.idle) if each.use.known else None,
            _rounded(co2.kwh(each.use.joules)),
            _rounded(co2.co2e_grams(each.use.joules)),
        ]
        for each in use.spent
    ]
    return csv_response(f"{tenant.slug}-gpus-{chosen.first}-{chosen.last}.csv", header, rows)


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else round(value, 6)
