"""Reading tables that people made: CSV and XLSX, as rows of text by column. Nothing in them is run, followed or guessed."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

MOST_BYTES = 2_000_000
MOST_UNPACKED = 40_000_000
"""A workbook is a zip file: what it says it unpacks to is looked at before it is unpacked."""
MOST_ROWS = 1_000
LONGEST_CELL = 1_000


class TableError(ValueError):
    """The file cannot be read as such a table; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its number in the file (the header is 1) and its cells by column, without blanks around them."""

    number: int
    cells: dict[str, str]


def read(name: str, body: bytes, columns: Sequence[str], required: Sequence[str]) -> list[Row]:
    """The rows of a file named *.csv or *.xlsx; empty lines are left out, columns may stand in any order. Raises TableError."""
    if len(body) > MOST_BYTES:
        raise TableError(f"The file is larger than {MOST_BYTES // 1_000_000} MB. Split it.")
    kind = name.lower().rsplit(".", 1)[-1]
    if kind not in ("csv", "xlsx"):
        raise TableError("Send a CSV file (.csv) or an Excel workbook (.xlsx).")
    lines = _csv(body) if kind == "csv" else _xlsx(body)
    header = [_text(cell).lower() for cell in next(iter(lines), [])]
    _check_header(header, columns, required)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = [_text(cell) for cell in line]
        if not any(cells):
            continue
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise TableError(f"Line {number} has more cells than the header. A text with a comma in it needs quotes.")
        if any(len(cell) > LONGEST_CELL for cell in cells):
            raise TableError(f"Line {number} has a cell of more than {LONGEST_CELL} characters.")
        padded = [*cells, *[""] * (len(header) - len(cells))]
        rows.append(Row(number, {column: cell for column, cell in zip(header, padded, strict=False) if column}))
    if not rows:
        raise TableError("The file has no rows below its header.")
    if len(rows) > MOST_ROWS:
        raise TableError(f"The file has {len(rows):,} rows; at most {MOST_ROWS:,} are taken at once. Split it.")
    return rows


def _check_header(header: Sequence[str], columns: Sequence[str], required: Sequence[str]) -> None:
    named = [column for column in header if column]
    unknown = sorted(set(named) - set(columns))
    missing = [column for column in required if column not in named]
    if missing:
        raise TableError(f"The first line must name the columns; missing: {', '.join(missing)}.")
    if unknown:
        raise TableError(f"Unknown columns: {', '.join(unknown)[:200]}. There are: {', '.join(columns)}.")
    if len(set(named)) < len(named):
        raise TableError("A column stands twice in the first line.")


def _csv(body: bytes) -> list[list[Any]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError("The file is not UTF-8. Save it as “CSV UTF-8”.") from None
    if "\0" in text:
        raise TableError("The file is not a text file.")
    first = text.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","  # spreadsheets of many countries write semicolons
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise TableError(f"The file is not valid CSV: {error}.") from None


def _xlsx(body: bytes) -> list[list[Any]]:
    broken = TableError("The file is not an Excel workbook that can be read. Save it anew as .xlsx, or as CSV.")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as parts:
            if sum(part.file_size for part in parts.infolist()) > MOST_UNPACKED:
                raise TableError("The workbook is too large when unpacked. Save only the sheet that is needed.")
        book = openpyxl.load_workbook(io.BytesIO(body), read_only=True, data_only=True, keep_links=False)
    except TableError:
        raise
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError, SyntaxError):
        raise broken from None
    try:
        sheet = book.worksheets[0]
        return _trimmed(sheet.iter_rows(values_only=True, max_row=MOST_ROWS + 50, max_col=40))
    except (IndexError, KeyError, ValueError, SyntaxError):
        raise broken from None
    finally:
        book.close()


def _trimmed(lines: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(line) for line in lines]


def _text(cell: Any) -> str:
    """The cell as it would be typed: dates in ISO, whole numbers without '.0', without the apostrophe that exports put before '='."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text
