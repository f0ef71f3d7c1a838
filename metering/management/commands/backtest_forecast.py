"""`manage.py backtest_forecast`: how far off the forecasts are, against the naive run-rate, here and on made-up shapes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.finance.history import daily
from metering.forecasting import FALSE_ALARM_RATE, SHAPES, Score, false_alarm_rate, score, synthetic
from metering.forecasting.backtest import SEEDS, Series
from tenants.database import replica
from tenants.models import Tenant

HEAD = f"{'':28}{'forecasts':>10}{'error':>9}{'run-rate':>10}{'better by':>11}{'p10–p90':>9}{'width':>8}{'alarms':>9}"


class Command(BaseCommand):
    """Reads only. Forecasts are replayed: each is made from the days before it and compared with how its month ended."""

    help = "Print the error of forecasts against the naive run-rate, the coverage of p10–p90, and false alarms of the spend anomaly."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seeds", type=int, default=SEEDS, help=f"series of each synthetic shape ({SEEDS})")
        parser.add_argument("--first-seed", type=int, default=0)
        parser.add_argument("--tenants", type=int, default=50, help="at most so many tenants of this database (50)")
        parser.add_argument("--days", type=int, default=365, help="of their history, so many days (365)")

    def handle(self, *args: Any, seeds: int, first_seed: int, tenants: int, days: int, **options: Any) -> None:
        if seeds < 1 or tenants < 0 or days < 1:
            raise CommandError("Ask for at least one seed and one day.")
        self.stdout.write(HEAD)
        self.stdout.write("The tenants of this database, cost and usage by day:")
        shown = 0
        for name, many in replica.read_all(lambda: self._stored(tenants, days))[0]:
            shown += self._print(score(name, many), false_alarm_rate(many))
        if not shown:
            self.stdout.write("  none with a whole month after two weeks of history")
        self.stdout.write(f"Synthetic shapes, {seeds} series each from seed {first_seed}:")
        for shape in SHAPES:
            series = [synthetic(shape, seed) for seed in range(first_seed, first_seed + seeds)]
            self._print(score(shape, series), false_alarm_rate(series[:20]))
        self.stdout.write(
            "error: mean of |p50 − outcome| ÷ outcome; run-rate: the same of cost so far ÷ days so far × days of the month; "
            f"p10–p90: part of outcomes inside (promised: 75–90 %); alarms: part of days called out of the ordinary (stated: {FALSE_ALARM_RATE:%} on days "
            "like those before; a step or a spike in a shape is a true one)."
        )

    def _stored(self, tenants: int, days: int) -> Iterator[tuple[str, list[Series]]]:
        now = timezone.now()
        series: dict[str, list[Series]] = {}
        for tenant in Tenant.objects.select_related("tier").order_by("pk")[:tenants]:
            for name, each in daily(tenant, now - timedelta(days=days), now).items():
                series.setdefault(name, []).append(each)
        yield from series.items()

    def _print(self, found: Score, alarms: float) -> int:
        if not found.forecasts:
            return 0
        self.stdout.write(
            f"  {found.name:26}{found.forecasts:>10}{found.error:>9.1%}{found.naive_error:>10.1%}{found.improvement:>+11.0%}"
            f"{found.coverage:>9.0%}{found.width:>8.0%}{alarms:>9.2%}"
        )
        return 1
