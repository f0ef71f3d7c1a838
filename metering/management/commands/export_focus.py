"""`manage.py export_focus 2026-07 [--tenant acme] [--output file.csv]`: the bills of a month as FOCUS 1.2 CSV."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.focus import export
from tenants import calendar
from tenants.models import Tenant


class Command(BaseCommand):
    """Streams: a row is written as soon as it is known."""

    help = "Export the bills of a month as FOCUS 1.2 CSV: of one tenant, or of all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", help="YYYY-MM")
        parser.add_argument("--tenant", help="slug; everybody without it")
        parser.add_argument("--output", type=Path, help="file to write; standard output without it")

    def handle(self, *args: Any, month: str, tenant: str | None, output: Path | None, **options: Any) -> None:
        now = timezone.now()
        try:
            calendar.parse_month(month)
        except ValueError as error:
            raise CommandError(str(error)) from error
        if month > calendar.month_key("Pacific/Kiritimati", now):
            raise CommandError(f"{month} has not begun.")
        chosen = Tenant.objects.select_related("tier").filter(slug=tenant) if tenant else None
        if chosen is not None and not chosen.exists():
            raise CommandError(f"There is no tenant {tenant!r}.")
        lines = export.csv(month, now, chosen)
        if output is None:
            sys.stdout.writelines(lines)
            return
        with output.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
        self.stderr.write(f"Written to {output}. Check it with: manage.py validate_focus {output}")
