"""CSV and XLSX downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.http import HttpResponse

from metering.files.exports import Cell, csv_rows, xlsx
from tenants.database import replica

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MONEY_DIGITS = 3
"""Amounts have at most so many decimals, and keep them; prices and quantities have more and lose the zeros."""


def csv_response(filename: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """A CSV file for a spreadsheet. Amounts keep the currency's digits, instants their offset; `rows` are few enough to hold."""
    body = "".join(csv_rows(header, ([_plain(cell) for cell in row] for row in rows)))
    return file_response(filename, body, "text/csv; charset=utf-8")


def xlsx_response(filename: str, sheet: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """The same table as a workbook; text stays text whatever it starts with."""
    return file_response(filename, xlsx(sheet, header, rows), XLSX)


def file_response(filename: str, body: str | bytes, content_type: str) -> HttpResponse:
    """A file to keep, that no cache keeps."""
    response = HttpResponse(body, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["Cache-Control"] = "private, no-store"
    return response


def report(make: Callable[[], HttpResponse]) -> HttpResponse:
    """A file whose figures are read from the replica where there is one, with as of when they are. `make` may run twice."""
    return aged(*replica.read(make))


def aged(response: HttpResponse, as_of: datetime | None) -> HttpResponse:
    """The response with the instant that its figures are as of, where they were read from a replica."""
    for name, value in replica.headers(as_of).items():
        response[name] = value
    return response


def _plain(cell: Cell) -> Cell:
    if not isinstance(cell, Decimal):
        return cell
    exponent = cell.as_tuple().exponent
    return cell.normalize() if isinstance(exponent, int) and exponent < -MONEY_DIGITS else cell
