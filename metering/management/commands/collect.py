"""manage.py collect --once|--loop: this node's collectors, reported to the portal's API. Needs no database, Redis or Celery."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from django.conf import settings as configured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.agent.loop import Agent, BusyError
from metering.agent.portal_client import Portal
from metering.collectors import config

settings: Any = configured  # of portal.node_settings


class Command(BaseCommand):
    help = "Run this node's collectors and report to the portal: docs/collectors.md, “Nodes without Celery”."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        how = parser.add_mutually_exclusive_group(required=True)
        how.add_argument("--once", action="store_true", help="run each collector once, send everything, and end")
        how.add_argument("--loop", action="store_true", help="run each collector in its interval until a signal comes")

    def handle(self, *args: Any, **options: Any) -> None:
        entries = self._entries()
        if not settings.COLLECTOR_API_URL or not settings.COLLECTOR_TOKEN:
            raise CommandError("Set COLLECTOR_API_URL (the portal's address) and COLLECTOR_TOKEN (this node's).")
        portal = Portal(settings.COLLECTOR_API_URL, settings.COLLECTOR_TOKEN, settings.NODE_NAME)
        most = settings.COLLECTOR_BUFFER_MB * 2**20
        try:
            agent = Agent(entries, settings.NODE_NAME, Path(settings.COLLECTOR_BUFFER_DIR), portal, most)
        except (BusyError, OSError) as error:
            raise CommandError(f"The buffer cannot be used: {error}") from None
        try:
            if options["loop"]:
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: agent.stopping.set())
                agent.loop()
            else:
                self._told(agent.once())
        finally:
            agent.close()

    def _entries(self) -> list[dict[str, Any]]:
        wrong = list(config.problems(settings.COLLECTORS))
        if wrong:
            raise CommandError("\n".join(f"{problem.text} {problem.hint}" for problem in wrong))
        node = settings.NODE_NAME
        entries = [entry for entry in settings.COLLECTORS if entry.get("node", node) == node]
        if not entries:
            raise CommandError(f"COLLECTORS has nothing for the node {node}.")
        if len({entry["name"] for entry in entries}) < len(entries):
            raise CommandError("COLLECTORS has a name twice.")
        return entries

    def _told(self, said: dict[str, str]) -> None:
        for name, state in said.items():
            if name:
                self.stdout.write(f"{name}: {state}")
        if "" in said:
            raise CommandError(f"Not everything was sent; it waits in {settings.COLLECTOR_BUFFER_DIR}. {said['']}")
