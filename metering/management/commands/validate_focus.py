"""`manage.py validate_focus file.csv`: does a file keep FOCUS 1.2's rules, and do its rows add up to our documents?"""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.focus import VERSION, export
from metering.focus.validation import validate

MOST = 200
LARGEST_CELL = 1_000_000


class Command(BaseCommand):
    """Exit status 1 with every breach named; 0 for a sound file."""

    help = (
        "Check a FOCUS CSV file: columns, nulls, types, values, relations between costs, and the sum of each invoice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--without-invoices", action="store_true", help="do not compare with the invoices in this database"
        )

    def handle(self, *args: Any, file: Path, without_invoices: bool, **options: Any) -> None:
        csv.field_size_limit(LARGEST_CELL)
        try:
            header, count, numbers = _survey(file)
            with file.open(encoding="utf-8-sig", newline="") as lines:
                rows = islice(csv.reader(lines), 1, None)
                findings = list(
                    islice(validate(header, rows, None if without_invoices else export.documents(numbers)), MOST + 1)
                )
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CommandError(f"{file} cannot be read: {error}") from error
        for finding in findings[:MOST]:
            self.stdout.write(str(finding))
        if findings:
            more = "at least " if len(findings) > MOST else ""
            raise CommandError(f"{more}{len(findings[:MOST])} breaches of FOCUS {VERSION} in {count} rows.")
        self.stdout.write(f"{count} rows keep the rules of FOCUS {VERSION}; {len(numbers)} documents named.")


def _survey(file: Path) -> tuple[list[str], int, set[str]]:
    """The header, how many rows, and the documents that they name."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines)
        header = next(rows, [])
        where = header.index("InvoiceId") if "InvoiceId" in header else None
        count, numbers = 0, set[str]()
        for row in rows:
            count += 1
            if where is not None and where < len(row) and row[where]:
                numbers.add(row[where])
    return header, count, numbers
