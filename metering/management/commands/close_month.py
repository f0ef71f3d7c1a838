"""`manage.py close_month 2026-07`: draft, and after the grace time issue, every tenant's invoice for a month."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.billing import closing
from tenants.models import Tenant

EVERY = 50


class Command(BaseCommand):
    """Idempotent and resumable: run it again after an interruption, or twice at once; no tenant is invoiced twice."""

    help = "Close a month: draft invoices, and issue those whose grace time has passed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", help="YYYY-MM")

    def handle(self, *args: Any, month: str, **options: Any) -> None:
        total, outcomes = Tenant.objects.count(), Counter[str]()
        try:
            for number, closed in enumerate(closing.close(month, timezone.now()), start=1):
                outcomes[closed.outcome] += 1
                if closed.outcome == "failed":
                    self.stderr.write(f"{closed.tenant.slug}: {closed.detail}")
                elif options["verbosity"] > 1:
                    self.stdout.write(f"{closed.tenant.slug}: {closed.outcome} {closed.detail}")
                if number % EVERY == 0 or number == total:
                    self.stdout.write(f"{number}/{total} tenants")
                    self.stdout.flush()
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()) or "No tenants.")
        if outcomes["failed"]:
            raise CommandError(
                f"{outcomes['failed']} tenants failed. Mend what is named above and run the command again."
            )
