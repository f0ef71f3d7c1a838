"""`manage.py demo`: the same as `make demo` (which needs no settings in the environment: it makes them)."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.demo.__main__ import main


class Command(BaseCommand):
    """Hands over to portal.demo."""

    help = "Start the whole product with demo data and live traffic under .data/."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reset", action="store_true", help="stop the demo and delete its data")

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(main(["--reset"] if options["reset"] else []))
