"""`manage.py price_dry_run default 3`: what the draft v3 of a price book would do to every bill. Changes nothing."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.costing import price_dry_runs
from metering.models import PriceBookVersion
from tenants.problems import ProblemError


class Command(BaseCommand):
    """Prints a line per tenant and month whose bill changes (all with --all), and the sums by month and currency."""

    help = "Show every tenant's last and present month under the old and the new prices. Nothing is published."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("book", help="slug of the price book")
        parser.add_argument("version", type=int, help="number of the draft")
        parser.add_argument("--all", action="store_true", help="list tenants whose bills stay the same, too")

    def handle(self, *args: Any, book: str, version: int, **options: Any) -> None:
        draft = PriceBookVersion.objects.select_related("book").filter(book__slug=book, number=version).first()
        if draft is None:
            raise CommandError(f"The book {book!r} has no version {version}.")
        if draft.published_at is not None:
            raise CommandError(f"{book} v{version} is published already.")
        now = timezone.now()
        sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        done, tenants = 0, price_dry_runs.affected(draft, now)
        try:
            for some in price_dry_runs.compare(draft, tenants, now):
                for each in some:
                    before_after = sums[each.month, each.currency]
                    before_after[0] += each.before
                    before_after[1] += each.after
                    if options["all"] or each.change or each.held:
                        held = f"  held: {each.held}" if each.held else ""
                        self.stdout.write(
                            f"{each.tenant.slug:<40} {each.month} {_amounts(each.before, each.after)} {each.currency}{held}"
                        )
                done += len({each.tenant.pk for each in some})
                self.stderr.write(f"{done}/{len(tenants)} tenants")
        except ProblemError as problem:
            raise CommandError(str(problem)) from problem
        for (month, currency), (before, after) in sorted(sums.items()):
            self.stdout.write(f"{'all':<40} {month} {_amounts(before, after)} {currency}")
        if not tenants:
            self.stdout.write("No tenant pays by this book.")


def _amounts(before: Decimal, after: Decimal) -> str:
    return f"{before:>14,.2f} → {after:>14,.2f} ({after - before:+,.2f})"
