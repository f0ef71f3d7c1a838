"""manage.py finance_report YYYY-MM: the monthly cost report, as text, or its CSV."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.finance import finance_report


class Command(BaseCommand):
    help = "Print the cost report of a month as it is known now; --csv prints the attachment. Sends nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", help="YYYY-MM")
        parser.add_argument("--csv", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            letter = finance_report.letter(options["month"], timezone.now())
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(letter.attachment if options["csv"] else letter.text, ending="")
