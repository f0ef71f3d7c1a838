"""How much of each quota is used, as gauges; with a forecast they also say where the month will end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _

from metering.forecasting import Forecast
from metering.models import Meter
from metering.usage import queries

from ..drawing.gauges import Gauge, left_of, sentence, used_of
from ..writing import formats
from ..writing.meters import Meters


def gauges(
    statuses: Sequence[queries.QuotaStatus], meters: Meters, forecasts: Mapping[str, Forecast] | None = None
) -> list[Gauge]:
    """One gauge for each quota; with a forecast it also says where the month will end."""
    return [
        _gauge(status, meters[status.meter], (forecasts or {}).get(status.meter))
        for status in statuses
        if status.meter in meters
    ]


def _gauge(status: queries.QuotaStatus, meter: Meter, forecast: Forecast | None) -> Gauge:
    level = meter.aggregation == "level"
    projected = None
    note = ""
    if forecast is not None and forecast.end is not None and status.limit:
        projected = forecast.end.p50 / status.limit * 100
        runs_out = forecast.exceeds(status.limit)
        if runs_out and runs_out.expected and not runs_out.already:
            note = _("Runs out around %(day)s") % {"day": formats.day(runs_out.expected, "UTC", year=False)}
    return Gauge(
        meter=meter.key,
        name=meter.name,
        percent=status.percent,
        unlimited=status.limit is None,
        sentence=sentence(status.used, status.limit, meter.display_unit),
        used_text=used_of(status.used, status.limit, meter.display_unit),
        left_text=left_of(status.used, status.limit),
        resets_at=None if level else status.resets_at,
        projected_percent=projected,
        exhausted_note=note,
        note=_note(status, level),
    )


def _note(status: queries.QuotaStatus, level: bool) -> str:
    if not status.complete:
        return _("what came in the last minutes is not known right now")
    return _("at this moment") if level else ""
