from __future__ import annotations

import functools
import json
import logging
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.doctor import Check, Result, State, examine


class Command(BaseCommand):
    help = (
        "Look at the whole chain (settings, databases, worker, mail, Prometheus, alerts, traces) and say what to mend. "
        "Exit status 1 when something is broken, 0 otherwise; no part that hangs holds it up for more than 45 s."
    )
    requires_system_checks: list[str] = []  # what is wrong with the settings is one of the findings

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
        parser.add_argument("--mail-to", default="", metavar="ADDRESS", help="send a test mail there")
        parser.add_argument(
            "--only",
            action="append",
            default=[],
            metavar="WORD",
            help="only checks whose name has this word; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = [
            each
            for each in every_check(options["mail_to"])
            if not options["only"] or any(word in each.name for word in options["only"])
        ]
        logging.disable()  # the findings say it, in a table
        try:
            results = examine(chosen)
        finally:
            logging.disable(logging.NOTSET)
        if options["json"]:
            self.stdout.write(json.dumps([each.as_dict() for each in results], indent=2))
        else:
            self._table(results)
        self.stdout.flush()
        if any(each.finding.state is State.BROKEN for each in results):
            sys.exit(1)

    def _table(self, results: list[Result]) -> None:
        paint = {State.OK: self.style.SUCCESS, State.NOT_CONFIGURED: self.style.WARNING, State.BROKEN: self.style.ERROR}
        width = max((len(each.name) for each in results), default=0)
        for each in results:
            state = paint[each.finding.state](f"{each.finding.state.value:<14}")
            self.stdout.write(f"{each.name:<{width}}  {state}  {each.finding.text}")
            if each.finding.mend:
                self.stdout.write(f"{'':<{width}}  {'':<14}  → {each.finding.mend}")


def every_check(mail_to: str = "") -> list[Check]:
    """All checks, in the order in which a request, and what is said of it, travels."""
    from portal.doctor import parts, tracing, watchers

    in_database, in_broker = (
        "See DATABASE_URL, and whether PostgreSQL runs.",
        "See CELERY_BROKER_URL, and whether that Redis runs.",
    )
    return [
        Check("settings", parts.told_settings),
        Check("database", parts.database, mend=in_database),
        Check(
            "ledger",
            parts.ledger,
            20,
            "See EVENT_STORE and CLICKHOUSE_URL; while it is away events are refused (503) and sent again.",
        ),
        Check("old months", parts.old_months, mend=in_database),
        Check(
            "read replica",
            parts.read_replica,
            mend="See DATABASE_REPLICA_URL; until it is back, reports read from the primary.",
        ),
        Check("quota Redis", parts.quota_redis),
        Check("cache", parts.cache_redis),
        Check("broker", parts.broker, mend=in_broker),
        Check("worker", parts.worker, mend=in_broker),
        Check("beat", parts.beat, mend=in_database),
        Check("collectors", parts.collectors, mend=in_database),
        Check("mail", functools.partial(parts.mail, mail_to), 15, in_database),
        Check("exporters", watchers.prometheus),
        Check("rules", watchers.rules),
        Check("panels", watchers.panels, 40),
        Check("Alertmanager", watchers.alertmanager),
        Check("Grafana", watchers.grafana),
        Check("traces", tracing.traces, 40),
    ]
