"""Forecasts with ranges, spend anomalies, and the backtest that says how good they are. PURE: no Django, no clock, no chance.

Example::

    usage = forecast(daily_calls, first_day=date(2026, 3, 1), last_day=date(2026, 3, 31), today=date(2026, 3, 17))
    usage.end                      # Range(p10, p50, p90) at the month's end; None under 3 days of history
    usage.exceeds(1_000_000)       # Exceeds(earliest, expected, latest)
"""

from .anomaly import FALSE_ALARM_RATE, Anomaly, anomaly
from .backtest import SHAPES, Score, false_alarm_rate, report, score, synthetic
from .projection import Daily, Exceeds, Forecast, Quality, Range, forecast, forecast_cost, forecast_level

__all__ = [
    "FALSE_ALARM_RATE",
    "SHAPES",
    "Anomaly",
    "Daily",
    "Exceeds",
    "Forecast",
    "Quality",
    "Range",
    "Score",
    "anomaly",
    "false_alarm_rate",
    "forecast",
    "forecast_cost",
    "forecast_level",
    "report",
    "score",
    "synthetic",
]
