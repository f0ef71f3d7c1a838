from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.telemetry import vitals
from portal.telemetry.business import PAGE
from portal.telemetry.server import MetricsServer
from tenants import exposition
from tenants.exposition import Page

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Serve what the database knows (costs, budgets, quotas, GPUs, collectors) to Prometheus. Run one of it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - scraped from outside
        parser.add_argument("--port", type=int, default=9102)

    def handle(self, *args: Any, **options: Any) -> None:
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            ended.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        exposition.add(vitals.Vitals("exporter"))
        server = MetricsServer(options["port"], _page, options["host"])
        server.start()
        log.info("business_exporter.serving", extra={"port": server.server_port})
        ended.wait()
        server.shutdown()


def _page(accept: str) -> Page:
    """The business page, and this process's own metrics after it."""
    business = PAGE.get()
    return Page(business.content_type, business.body + exposition.exposition().body)
