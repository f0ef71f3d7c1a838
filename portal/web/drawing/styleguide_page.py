"""One page with every component on it, for those who build pages. Sample data only."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import sin
from types import SimpleNamespace
from typing import Any

from django import forms
from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from ..times import ranges
from ..writing import formats
from . import components, gauges, icons
from .charts import Chart, Mark, Series

NOW = datetime(2026, 11, 22, 13, 3, 20, tzinfo=UTC)
ZONE = "Europe/Zurich"
COLORS = [
    ("canvas", "Page"), ("surface", "Card"), ("sunken", "Sunken"), ("line", "Line"), ("line-strong", "Strong line"), ("ink", "Text"),
    ("ink-2", "Second text"), ("ink-3", "Quiet text"), ("accent", "Accent"), ("accent-soft", "Accent, soft"), ("gold", "Mark"),
    ("good", "Good"), ("good-soft", "Good, soft"), ("warn", "Warn"), ("warn-soft", "Warn, soft"), ("bad", "Bad"), ("bad-soft", "Bad, soft"),
]  # fmt: skip


class SampleForm(forms.Form):
    """Every kind of field."""

    name = forms.CharField(
        label="Name", help_text="For you and your colleagues; it is not part of the key.", initial="Nightly export"
    )
    amount = forms.DecimalField(label="Monthly budget", initial="10000")
    role = forms.ChoiceField(label="Role", choices=[("member", "Member"), ("admin", "Admin")])
    note = forms.CharField(label="Note", widget=forms.Textarea(attrs={"rows": 3}), required=False)
    scopes = forms.MultipleChoiceField(
        label="Scopes",
        choices=[("a", "Read usage"), ("b", "Read costs"), ("c", "Ask for decisions")],
        widget=forms.CheckboxSelectMultiple,
        initial=["a"],
    )
    soft = forms.BooleanField(label="Warn only", help_text="Count above the limit, refuse nothing.", required=False)


def styleguide(request: HttpRequest) -> HttpResponse:
    """GET /style-guide: in debug mode, in the demo, and for platform staff; 404 for everyone else."""
    if not (settings.DEBUG or settings.PORTAL_ENV in {"demo", "test"} or getattr(request.user, "is_staff", False)):
        raise Http404
    return render(request, "portal/drawing/styleguide.html", _samples())


def _samples() -> dict[str, Any]:
    broken = SampleForm({"name": "", "amount": "ten", "role": "member"}, auto_id="broken_%s")
    broken.is_valid()
    return {
        "colors": COLORS,
        "icons": sorted(icons.ICONS),
        "now": NOW,
        "zone": ZONE,
        "gauges": _gauges(),
        "budget": components.bar(
            Decimal("62.4"),
            label="$6,240 of $10,000 spent",
            ghost=Decimal("91.3"),
            ticks=[(Decimal(80), "80%"), (Decimal(90), "90%"), (Decimal(100), "$10,000")],
        ),
        "over": components.bar(
            Decimal("104.2"),
            label="$10,420 of $10,000 spent",
            ticks=[(Decimal(80), "80%"), (Decimal(90), "90%"), (Decimal(100), "$10,000")],
            full_scale=Decimal(115),
        ),
        "spark_values": [Decimal(4 + 2 * sin(index / 2) + index / 6) for index in range(22)],
        "form": SampleForm(),
        "broken": broken,
        "charts": _charts(),
        "rows": [
            SimpleNamespace(
                name="Nightly export",
                key="gpk_live_acme_k7q2…",
                used=NOW - timedelta(minutes=3),
                calls=812403,
                tone="good",
                state="Active",
            ),
            SimpleNamespace(
                name="Gateway",
                key="gpk_live_acme_p3m9…",
                used=NOW - timedelta(days=2),
                calls=40211,
                tone="warn",
                state="Expires soon",
            ),
            SimpleNamespace(
                name="Old notebook", key="gpk_live_acme_z1x4…", used=None, calls=0, tone="", state="Revoked"
            ),
        ],
        "span": ranges.Range(date(2026, 11, 1), date(2026, 11, 22), "month", "day", "Europe/Zurich"),
        "files": [("Lines, CSV", "#"), ("Every record, FOCUS 1.2", "#")],
        "one_file": [("Download CSV", "#")],
        "tiles": [
            {"label": "Billed", "value": "63.4", "unit": "GPU hours", "note": "what was held, used or not"},
            {"label": "Utilisation", "value": "59%", "unit": "", "note": "known for 61 GPU hours"},
            {"label": "Energy", "value": "28", "unit": "kWh", "note": "3.1 kg CO₂e"},
        ],
        "sample": {"now": Decimal("4213.55"), "before": Decimal("3762.10"), "price": Decimal("0.001")},
        "page_obj": Paginator(range(57), 25).page(2),
        "tabs": [
            {"url": "#", "label": text, "current": text == "By day"} for text in ("By day", "By meter", "By user")
        ],
        "sort": "name",
        "legend": [
            {"color": "api_calls", "label": "API calls", "value": "$812.40"},
            {"color": "gpu_hours", "label": "GPU hours", "value": "$158.50"},
        ],
    }


def _gauges() -> list[gauges.Gauge]:
    resets = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
    samples = [
        ("api_calls", "API calls", "812403", "1000000", "call", "Runs out around Nov 27", Decimal(111)),
        ("gpu_hours", "GPU hours", "104.5", "100", "hour", "", None),
        ("storage_gb", "Storage", "418", "1000", "GB", "", Decimal(46)),
    ]
    return [
        gauges.Gauge(
            meter,
            name,
            Decimal(used) / Decimal(limit) * 100,
            False,
            gauges.sentence(Decimal(used), Decimal(limit), unit),
            gauges.used_of(Decimal(used), Decimal(limit), unit),
            gauges.left_of(Decimal(used), Decimal(limit)),
            resets,
            projected,
            note,
        )
        for meter, name, used, limit, unit, note, projected in samples
    ]


def _charts() -> list[Chart]:
    days = [date(2026, 11, 1) + timedelta(days=index) for index in range(30)]
    labels = [formats.day(value, ZONE, year=False) for value in days]
    x = [value.isoformat() for value in days]

    def course(base: float, swing: float) -> list[Decimal]:
        return [
            Decimal(base + swing * sin(index / 2.2) + swing * (index % 7 == 3)).quantize(Decimal("0.01"))
            for index in range(30)
        ]

    calls, hours, storage = course(120, 30), course(85, 40), course(14, 1)
    so_far: list[Decimal | None] = [
        sum(calls[: index + 1], Decimal(0)) + sum(hours[: index + 1], Decimal(0)) if index < 22 else None
        for index in range(30)
    ]
    last = so_far[21] or Decimal(0)
    return [
        Chart("chart-cost", "Cost by day", "bar", x, labels, [Series("API calls", "meter-api_calls", calls), Series("GPU hours", "meter-gpu_hours", hours), Series("Storage", "meter-storage_gb", storage)], lambda value: formats.money(value, "USD"), "Day", prefix="$", csv_url="#"),
        Chart(
            "chart-forecast", "Cost so far and projection", "area", x, labels,
            [
                Series("Low", "series-1", [None] * 21 + [last + Decimal(160 * index) for index in range(9)], "band-low"),
                Series("High", "series-1", [None] * 21 + [last + Decimal(260 * index) for index in range(9)], "band-high"),
                Series("Projected", "series-1", [None] * 21 + [last + Decimal(210 * index) for index in range(9)], "dotted"),
                Series("Cost so far", "series-1", so_far),
            ],
            lambda value: formats.money(value, "USD"), "Day", prefix="$", marks=[Mark(Decimal(6000), "Budget $6,000")], total=False,
        ),
        Chart("chart-users", "Calls by user", "hbar", ["alice", "bob", "ci"], ["alice", "bob", "ci"], [Series("API calls", "meter-api_calls", [Decimal(420000), Decimal(260000), Decimal(132403)])], lambda value: formats.quantity(value, "call"), "User", height="sm"),
    ]  # fmt: skip
