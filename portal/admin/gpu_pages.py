"""The operators' pages of GPUs: the fleet as it is now, and GPUs that are held and not used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

from django import forms
from django.conf import settings
from django.core.cache import cache
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from metering.files.exports import Cell
from metering.gpu_use import fleet, idle, telling
from metering.gpu_use.fleet import Hour, Seat
from metering.gpu_use.settings import factors
from metering.mail.gpus import duration
from metering.models import GpuDevice, GpuNotice, GpuNoticeKind, IdleReleaseRule
from portal.web.downloads.files import csv_response, report
from portal.web.drawing.charts import Chart, Series
from portal.web.writing import formats
from tenants.admin.base import acting, require
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.models import Tenant

MOST_COLLECTORS = 20
WEEK_KEY, KEEP_SECONDS = "admin-fleet-week", 300
PER_PAGE, NODES_PER_PAGE = 50, 50
"""Devices of a page; more are shown node by node."""
HOURS = 24
IDLE_MINUTES = (15, 30, 60, 120, 360, 1440)
UNATTRIBUTED = _("unattributed")
BY = {
    "assignment": _("assigned"),
    "reservation": _("reserved"),
    "environment": _("by its environment"),
    "container": _("by its container"),
    "mapping": _("by the mapping table"),
    "unattributed": _("nobody can be named"),
}


@dataclass(frozen=True)
class Holder:
    """A part of a device: of a tenant, of nobody who can be named, or free."""

    name: str
    share: str
    by: str
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """A device of the fleet page."""

    device: GpuDevice
    seat: Seat
    holders: list[Holder]
    cells: str
    utilisation: str
    power: str
    energy: str


@dataclass(frozen=True)
class NodeRow:
    """A node of the fleet page: its devices as squares, now and by hour."""

    node: fleet.Node
    models: str
    squares: str
    cells: str
    held: str
    gpus: str
    unattributed: str
    power: str


def fleet_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/metering/gpudevice/fleet/?node=&model=&format=csv: devices, holders, the last 24 hours, power, collectors."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    everyone = list(GpuDevice.objects.order_by("node", "index", "uuid"))
    node, model = request.GET.get("node", "")[:120], request.GET.get("model", "")[:40]
    chosen = [each for each in everyone if node in ("", each.node) and model in ("", each.model)]
    if request.GET.get("format") == "csv":
        return _fleet_csv(fleet.seats(chosen, now, hours=1))
    grouped = not node and len(chosen) > PER_PAGE
    by_node = fleet.by_node(chosen)
    totals = {name: fleet.total(found, now) for name, found in by_node.items()}
    wanted = request.GET.get("page")
    nodes = Paginator(list(by_node), NODES_PER_PAGE).get_page(wanted)
    devices = Paginator(chosen, PER_PAGE).get_page(wanted)
    shown = {name: by_node[name] for name in nodes} if grouped else {}
    total = reduce(fleet.Total.plus, totals.values(), fleet.total([], now))
    joules = fleet.energy_joules(now, HOURS)
    co2 = factors()
    kwh, grams = co2.kwh(joules), co2.co2e_grams(joules)
    collectors = fleet.collectors(now, set(by_node) if node else None)
    nobody = fleet.unattributed_seconds(now - timedelta(hours=HOURS))
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/portal/fleet.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.model._meta,
            "title": _("Fleet"),
            "node": node,
            "model": model,
            "nodes": sorted({each.node for each in everyone}),
            "models": sorted({each.model for each in everyone}),
            "page": nodes if grouped else devices,
            "grouped": grouped,
            "rows": [] if grouped else [_row(seat) for seat in fleet.seats(list(devices), now, hours=HOURS)],
            "by_node": [_node_row(each) for each in fleet.nodes(shown, totals, now, hours=HOURS)],
            "hours": [f"{start:%H}" for start in fleet.hour_starts(now, HOURS)],
            "total": total,
            "held_percent": _percent(float(total.held / total.gpus) if total.gpus else None),
            "gpus": formats.number(_decimal(total.gpus)),
            "held": formats.number(_decimal(total.held)),
            "free": formats.number(_decimal(total.free)),
            "unattributed": formats.number(_decimal(total.unattributed)),
            "nobody_hours": formats.number(idle.hours(float(sum(nobody.values(), Decimal(0))))),
            "nobody_devices": len(nobody),
            "power": f"{formats.number(Decimal(str(total.watts / 1000)))} kW" if total.watts is not None else "–",
            "energy": f"{formats.number(kwh)} kWh" if kwh is not None else "–",
            "co2e": f"{formats.number(grams / 1000)} kg CO₂e" if grams is not None else "",
            "factors": co2,
            "collectors": collectors[:MOST_COLLECTORS],
            "more_collectors": len(collectors) - MOST_COLLECTORS,
            "chart": _busy_chart(_week(now)),
            "now": now,
        },
    )


def _row(seat: Seat) -> Row:
    device = seat.device
    return Row(
        device,
        seat,
        [] if seat.stale or seat.lost else list(_holders(seat)),
        _heat(_cell(hour) for hour in seat.hours),
        _percent(seat.utilisation),
        "–" if seat.watts is None else f"{seat.watts:.0f} W",
        "–" if seat.joules is None else f"{formats.number(Decimal(str(seat.joules)) / 3_600_000)} kWh",
    )


def _week(now: datetime) -> list[Hour]:
    """The fleet by hour: at 1,000 GPUs 168,000 rows, so it is kept for some minutes."""
    hours = cache.get(WEEK_KEY)
    if hours is None or hours[-1].start != fleet.hour_starts(now, 1)[0]:
        hours = fleet.busy_by_hour(now, 7 * 24)
        cache.set(WEEK_KEY, hours, KEEP_SECONDS)
    return hours


def _node_row(node: fleet.Node) -> NodeRow:
    total = node.total
    return NodeRow(
        node,
        ", ".join(f"{count} × {model}" for model, count in sorted(node.models.items())),
        _heat(_square(busy, f"{device.model} {device.index}") for device, busy in node.now),
        _heat(_cell(hour) for hour in node.hours),
        formats.number(_decimal(total.held)),
        formats.number(_decimal(total.gpus)),
        formats.number(_decimal(total.unattributed)),
        "–" if total.watts is None else f"{formats.number(Decimal(str(total.watts / 1000)))} kW",
    )


def _holders(seat: Seat) -> Sequence[Holder]:
    found = [
        Holder(
            tenant if tenant is not None else str(UNATTRIBUTED),
            _percent(float(share)),
            str(BY.get(seat.by.get(tenant, ""), "")),
            "" if tenant is not None else "warn",
        )
        for tenant, share in sorted(seat.division.held.items(), key=lambda item: (-item[1], item[0] or "~"))
    ]
    if seat.division.free:
        found.append(Holder(str(_("free")), _percent(float(seat.division.free)), "", "free"))
    return found


def _cell(hour: Hour) -> tuple[str, str]:
    """(step of the scale, "" where nothing is known; what it says)."""
    return _square(hour.busy, f"{hour.start:%b %d, %H}:00 UTC")


def _heat(squares: Iterable[tuple[str, str]]) -> SafeString:
    """Squares of the scale that say what they mean; thousands of them, so they do not go through the template."""
    return format_html_join(
        "", '<i class="{}" title="{}"></i>', ((f"pa-heat-{step}" if step else "", text) for step, text in squares)
    )


def _square(busy: float | None, what: str) -> tuple[str, str]:
    if busy is None:
        return "", f"{what}: {_('not known')}"
    return str(min(9, int(busy * 10))), f"{what}: {busy * 100:.0f}%"


def _percent(part: float | None) -> str:
    return formats.percent(None if part is None else Decimal(str(part)) * 100)


def _decimal(value: Any) -> Decimal:
    return round(Decimal(value.numerator) / value.denominator, 4)


def _busy_chart(hours: Sequence[Hour]) -> Chart:
    return Chart(
        id="chart-fleet",
        title=str(_("Utilisation of the fleet by hour, UTC")),
        kind="line",
        x=[f"{hour.start:%Y-%m-%dT%H:%M:%S}" for hour in hours],
        labels=[f"{formats.day(hour.start, 'UTC', year=False)} {hour.start:%H:%M}" for hour in hours],
        series=[
            Series(
                str(_("Utilisation")),
                "series-1",
                [None if hour.busy is None else round(Decimal(str(hour.busy * 100)), 2) for hour in hours],
            )
        ],
        fmt=formats.percent,
        x_title=str(_("Hour (UTC)")),
        suffix="%",
        total=False,
    )


def _fleet_csv(seats: Sequence[Seat]) -> HttpResponse:
    header = [
        "node",
        "index",
        "uuid",
        "model",
        "state",
        "last_seen_at",
        "holder",
        "by",
        "share",
        "utilisation",
        "watts",
    ]
    rows: list[list[Cell]] = []
    for seat in seats:
        device = seat.device
        state = "stale" if seat.stale else device.state
        held: list[tuple[str, str, Any]] = [
            (tenant if tenant is not None else "unattributed", seat.by.get(tenant, ""), share)
            for tenant, share in seat.division.held.items()
        ]
        parts = [] if seat.stale or seat.lost else [*held, ("free", "", seat.division.free)]
        for name, by, share in parts or [("", "", None)]:
            rows.append([
                device.node, device.index, device.uuid, device.model, state, device.last_seen_at, name, by,
                None if share is None else _decimal(share), None if seat.utilisation is None else Decimal(str(seat.utilisation)),
                None if seat.watts is None else Decimal(str(seat.watts)),
            ])  # fmt: skip
    return csv_response("fleet.csv", header, rows)


# ------------------------------------------------------------------------------------------------------------------- idle


def idle_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/metering/gpudevice/idle/?minutes=&format=csv: what lies idle now, and what idle time has cost each tenant this month."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    minutes = _minutes(request)
    if request.GET.get("format") == "csv":
        return report(lambda: _idle_csv(idle.month_waste(now)))
    found = idle.now_idle(now, timedelta(minutes=minutes))
    waste = idle.month_waste(now)
    told = set(
        GpuNotice.objects.filter(kind=GpuNoticeKind.IDLE, day=telling.today(now)).values_list("device", "tenant__slug")
    )
    rules = list(IdleReleaseRule.objects.filter(is_on=True).select_related("tier"))
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/portal/idle.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.model._meta,
            "title": _("Idle GPUs"),
            "minutes": minutes,
            "choices": IDLE_MINUTES,
            "rows": [
                {
                    "idle": each,
                    "share": _percent(float(each.share)),
                    "by": BY.get(each.by, ""),
                    "told": (each.device.pk, each.tenant) in told,
                }
                for each in found
            ],
            "waste": waste,
            "total": _total(waste),
            "may_notify": may_notify(request),
            "rules": rules,
            "stale": sum(fleet.is_stale(device, now) for device in GpuDevice.objects.all()),
        },
    )


def _minutes(request: HttpRequest) -> int:
    try:
        asked = int(request.GET.get("minutes", "30"))
    except ValueError:
        return 30
    return asked if asked in IDLE_MINUTES else 30


def _total(waste: Sequence[idle.Waste]) -> dict[str, str]:
    """Costs of the platform's currency; others stand in their own rows."""
    hours = sum((each.idle for each in waste), Decimal(0))
    known = sum((each.known for each in waste), Decimal(0))
    same = [each.cost.amount for each in waste if each.cost and each.cost.currency == settings.PLATFORM_CURRENCY]
    return {
        "hours": formats.number(hours) if known else "–",
        "share": formats.percent(hours / known * 100) if known else "–",
        "cost": formats.money(sum(same, Decimal(0)), settings.PLATFORM_CURRENCY) if known else "–",
    }


def _idle_csv(waste: Sequence[idle.Waste]) -> HttpResponse:
    header = ["tenant", "held_gpu_hours", "known_gpu_hours", "idle_gpu_hours", "cost", "currency"]
    rows: list[list[Cell]] = [
        [
            each.tenant.slug,
            each.held,
            each.known,
            each.idle if each.known else None,
            each.cost.amount if each.cost and each.known else None,
            each.tenant.currency,
        ]
        for each in waste
    ]
    return csv_response("idle-gpus.csv", header, rows)


def may_notify(request: HttpRequest) -> bool:
    """Who may change limits may also write to tenants."""
    return bool(request.user.has_perm("metering.add_gpunotice"))


def notify_page(request: HttpRequest, model_admin: ModelAdmin, device_id: int, slug: str) -> HttpResponse:
    """/admin/metering/gpudevice/<id>/idle/<slug>/notify/: asks, then owes the mail; once per device and day."""
    require(may_notify(request))
    now = timezone.now()
    found = _still_idle(device_id, slug, now)

    def run(form: forms.Form) -> str:
        assert found is not None  # noqa: S101  (there are rows)
        with acting(request, form.cleaned_data["reason"]):
            told = telling.tell_idle(found, now)
        return str(_("Their admins are told.") if told else _("Their admins were told today already."))

    return Confirmation(
        page=model_admin,
        title=_("Tell %(tenant)s about an idle GPU") % {"tenant": slug},
        text=_(
            "Owners and admins of the tenant get a mail: which GPU, since when, what it costs an hour. Once per GPU and day."
        ),
        rows=[(str(found.device), str(_("idle for %(time)s")) % {"time": _length(found)})] if found else [],
        form=ReasonOnly,
        run=run,
        button=_("Send"),
        nothing=_("It is not idle any more."),
        back=_back(),
    ).respond(request)


def _still_idle(device_id: int, slug: str, now: datetime) -> idle.Idle | None:
    devices = list(GpuDevice.objects.filter(pk=device_id))
    require(Tenant.objects.filter(slug=slug).exists())
    return next((each for each in idle.now_idle(now, timedelta(0), devices) if each.tenant == slug), None)


def _length(each: idle.Idle) -> str:
    return duration(each.idle_for)


def _back() -> str:
    return reverse("admin:metering_gpudevice_idle")
