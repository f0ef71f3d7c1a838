"""CSV downloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from django.http import HttpResponse

from metering.exports import Cell, csv_rows


def csv_response(filename: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """A CSV file for a spreadsheet. Decimals lose their trailing zeros, instants keep their offset; `rows` are few enough to hold."""
    body = "".join(csv_rows(header, ([_plain(cell) for cell in row] for row in rows)))
    response = HttpResponse(body, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["Cache-Control"] = "private, no-store"
    return response


def _plain(cell: Cell) -> Cell:
    return cell if not isinstance(cell, Decimal) else cell.normalize()
