"""Every list as a file: the chosen rows with the columns that the list shows, as CSV or XLSX. Cells cannot turn into formulas."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import strip_tags
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from metering.files.exports import Cell
from portal.web.downloads.files import csv_response, xlsx_response

MOST_ROWS = 10_000
FETCHED_LATER = frozenset({"month_cost", "quota_use"})
"""Columns that a page fills in after it is shown; Cost per tenant has them as a file of its own."""


def table(page: ModelAdmin, request: HttpRequest, rows: QuerySet[Any]) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows, only of what the list shows: a secret that no list shows is in no file. Raises PermissionDenied."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    names = [name for name in page.get_list_display(request) if name not in FETCHED_LATER and name != "action_checkbox"]
    header = [str(label_for_field(name, page.model, page)) for name in names]  # type: ignore[arg-type]  # names only
    related = page.list_select_related
    if isinstance(related, (list, tuple)) and related:
        rows = rows.select_related(*related)
    return header, [[_cell(name, row, page) for name in names] for row in rows[:MOST_ROWS]]


def _cell(name: Any, row: Any, page: ModelAdmin) -> Cell:
    field, _attribute, value = lookup_field(name, row, page)
    if field is not None and getattr(field, "flatchoices", None):
        value = dict(field.flatchoices).get(value, value)
    if value is None or (isinstance(value, (int, Decimal, datetime)) and not isinstance(value, bool)):
        return value
    parts = value if isinstance(value, (list, tuple)) else [value]
    return " · ".join(" ".join(strip_tags(str(part)).split()) for part in parts if part is not None)


@admin.action(description=_("Export as CSV"))
def export_csv(page: ModelAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
    return csv_response(f"{_name(page)}.csv", *table(page, request, rows))


@admin.action(description=_("Export as XLSX"))
def export_xlsx(page: ModelAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
    return xlsx_response(f"{_name(page)}.xlsx", _name(page)[:31], *table(page, request, rows))


def _name(page: ModelAdmin) -> str:
    return str(page.model._meta.verbose_name_plural).replace(" ", "-").lower()


admin.site.add_action(export_csv, "export_csv")
admin.site.add_action(export_xlsx, "export_xlsx")
