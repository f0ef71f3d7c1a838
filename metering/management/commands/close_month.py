"""`manage.py close_month 2026-07`: draft, and after the grace time issue, every tenant's invoice for a month."""

from __future__ import annotations

import getpass
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.billing import closing
from metering.billing.drafting import PeriodOpenError
from metering.billing.issuing import InvoiceStateError
from metering.billing.parties import NoEntityError
from tenants.models import Tenant

MOST_WORKERS = 16


class Command(BaseCommand):
    """Idempotent and resumable: run it again after an interruption, or twice at once; no tenant is invoiced twice."""

    help = "Close a month: draft invoices, and issue those whose grace time has passed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", help="YYYY-MM")
        parser.add_argument("--workers", type=int, default=2, help="processes that work on it, this one among them (2)")
        parser.add_argument(
            "--tenant",
            help="slug: issue this one's month now, before its time, with gaps undecided, or again after a voiding",
        )
        parser.add_argument("--reason", default="", help="why; needed with --tenant, kept in the audit trail")

    def handle(self, *args: Any, month: str, workers: int, **options: Any) -> None:
        if not 1 <= workers <= MOST_WORKERS:
            raise CommandError(f"Give 1 to {MOST_WORKERS} workers.")
        try:
            if options["tenant"]:
                return self._issue(options["tenant"], month, options["reason"])
            outcomes = self._close(month, workers, options["verbosity"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()) or "No tenants.")
        if outcomes["failed"]:
            raise CommandError(
                f"{outcomes['failed']} tenants failed. Mend what is named above and run the command again."
            )
        return None

    def _close(self, month: str, workers: int, verbosity: int) -> Counter[str]:
        total, outcomes = Tenant.objects.count(), Counter[str]()
        for number, closed in enumerate(closing.close(month, timezone.now(), workers=workers), start=1):
            outcomes[closed.outcome] += 1
            if closed.outcome == "failed":
                self.stderr.write(f"{closed.tenant.slug}: {closed.detail}")
            elif verbosity > 1:
                self.stdout.write(f"{closed.tenant.slug}: {closed.outcome} {closed.detail}")
            if number % closing.AT_ONCE == 0 or number == total:
                self.stdout.write(f"{number}/{total} tenants")
                self.stdout.flush()
        return outcomes

    def _issue(self, slug: str, month: str, reason: str) -> None:
        tenant = Tenant.objects.select_related("tier").filter(slug=slug).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {slug!r}.")
        actor = f"command:{getpass.getuser()}"
        try:
            invoice = closing.issue_now(tenant, month, timezone.now(), actor=actor, reason=reason)
        except (InvoiceStateError, PeriodOpenError, NoEntityError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{invoice.number} is issued: {invoice.total} {invoice.currency}.")
