"""Tables into the platform: a file is tried row by row and shown, and then made as a whole or not at all.

The try runs the very use cases, in a transaction that is taken back: what it shows is what would happen. What was shown travels with the
page, signed, so that what is made is what was looked at; it is tried again while it is made, and one refused row refuses everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core import signing
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from metering.files import table_files
from portal.web.downloads.files import csv_response, xlsx_response
from tenants.admin.base import reason_field, require
from tenants.models import User
from tenants.problems import ProblemError

from .import_kinds import KINDS, Done, Kind, Who

SALT = "portal.admin.import"
GOOD_FOR = 3600
"""Seconds for which what was shown can be made."""
SHOWN = 200
REFUSED = "refuse"


@dataclass(frozen=True)
class Outcome:
    """A row's number in the file, what it names, what would be done (`CREATED`, `CHANGED`, `SAME` or REFUSED), and the words for it."""

    number: int
    what: str
    outcome: str
    text: str


class UploadForm(forms.Form):
    kind = forms.ChoiceField(label=gettext_lazy("What the rows are"), widget=UnfoldAdminSelectWidget)
    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=gettext_lazy(
            "CSV (UTF-8) or XLSX, the first sheet; the first line names the columns; at most 1,000 rows."
        ),
    )
    reason = reason_field()

    def __init__(self, kinds: Sequence[Kind], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["kind"]).choices = [(kind.key, kind.name) for kind in kinds]


def import_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/tenants/tenant/import/: GET asks for a file, or answers ?kind=&format=csv|xlsx with the present rows as such a file;
    POST tries a file, or makes what was tried."""
    kinds = [kind for kind in KINDS.values() if request.user.has_perms(kind.permissions)]  # type: ignore[union-attr]
    require(bool(kinds))
    if request.GET.get("format"):
        return _present_rows(request, kinds)
    if "tried" in request.POST:
        return _make(request, model_admin, kinds)
    form = UploadForm(kinds, request.POST or None, request.FILES or None, initial={"kind": request.GET.get("kind")})
    if request.method == "POST" and form.is_valid():
        kind, upload = KINDS[form.cleaned_data["kind"]], form.cleaned_data["file"]
        try:
            rows = table_files.read(upload.name, upload.read(table_files.MOST_BYTES + 1), kind.columns, kind.required)
        except table_files.TableError as error:
            form.add_error("file", str(error))
        else:
            return _show(request, model_admin, kind, rows, form.cleaned_data["reason"])
    return _page(request, model_admin, {"form": form, "kinds": kinds})


def _show(
    request: HttpRequest, model_admin: ModelAdmin, kind: Kind, rows: Sequence[table_files.Row], reason: str
) -> HttpResponse:
    with transaction.atomic():
        outcomes = _apply(kind, rows, Who(cast(User, request.user), reason))
        transaction.set_rollback(True)
    return _outcome_page(request, model_admin, kind, rows, reason, outcomes)


def _make(request: HttpRequest, model_admin: ModelAdmin, kinds: Sequence[Kind]) -> HttpResponse:
    try:
        key, reason, lines = signing.loads(request.POST["tried"], salt=_salt(request), max_age=GOOD_FOR)
    except signing.BadSignature:
        messages.error(request, _("That try is too old, or is not yours. Send the file again."))
        return HttpResponseRedirect(request.path)
    kind = KINDS[key]
    require(kind in kinds)
    rows = [table_files.Row(number, cells) for number, cells in lines]
    with transaction.atomic():
        outcomes = _apply(kind, rows, Who(cast(User, request.user), reason))
        refused = any(each.outcome == REFUSED for each in outcomes)
        if refused:
            transaction.set_rollback(True)
    if refused:
        messages.error(request, _("Nothing was written: something has changed since the file was tried."))
        return _outcome_page(request, model_admin, kind, rows, reason, outcomes)
    counts = _counts(outcomes)
    messages.success(request, _("Imported: %(create)d created, %(change)d changed, %(same)d as they were.") % counts)
    return HttpResponseRedirect(reverse(f"admin:{kind.back}_changelist"))


def _apply(kind: Kind, rows: Sequence[table_files.Row], who: Who) -> list[Outcome]:
    """Each row by itself, so that every refusal is found and none spoils the others. In the caller's transaction."""
    found = []
    for row in rows:
        what = " · ".join(row.cells[column] for column in kind.named_by if row.cells.get(column))
        empty = [column for column in kind.required if not row.cells.get(column)]
        if empty:
            found.append(Outcome(row.number, what, REFUSED, _("Empty: %(columns)s") % {"columns": ", ".join(empty)}))
            continue
        try:
            with transaction.atomic():
                done: Done = kind.apply(row.cells, who)
        except ProblemError as problem:
            found.append(Outcome(row.number, what, REFUSED, str(problem)))
        else:
            found.append(Outcome(row.number, what, done.outcome, done.text))
    return found


def _outcome_page(
    request: HttpRequest,
    model_admin: ModelAdmin,
    kind: Kind,
    rows: Sequence[table_files.Row],
    reason: str,
    outcomes: Sequence[Outcome],
) -> HttpResponse:
    counts = _counts(outcomes)
    first = sorted(outcomes, key=lambda each: (each.outcome != REFUSED, each.outcome == "same", each.number))
    packed = [kind.key, reason, [[row.number, row.cells] for row in rows]]
    can_be_made = not counts[REFUSED] and bool(counts["create"] + counts["change"])
    return _page(
        request,
        model_admin,
        {
            "kind": kind,
            "reason": reason,
            "counts": counts,
            "outcomes": first[:SHOWN],
            "left_out": max(0, len(outcomes) - SHOWN),
            "tried": signing.dumps(packed, salt=_salt(request), compress=True) if can_be_made else "",
        },
    )


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    return {
        outcome: sum(each.outcome == outcome for each in outcomes) for outcome in ("create", "change", "same", REFUSED)
    }


def _salt(request: HttpRequest) -> str:
    """What one operator has looked at is not another's to make."""
    return f"{SALT}:{request.user.pk}"


def _present_rows(request: HttpRequest, kinds: Sequence[Kind]) -> HttpResponse:
    kind = next((kind for kind in kinds if kind.key == request.GET.get("kind")), None)
    if kind is None:
        raise Http404
    if request.GET["format"] == "xlsx":
        return xlsx_response(f"{kind.key}.xlsx", kind.key, kind.columns, kind.rows())
    return csv_response(f"{kind.key}.csv", kind.columns, kind.rows())


def _page(request: HttpRequest, model_admin: ModelAdmin, context: dict[str, Any]) -> HttpResponse:
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/portal/import.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.model._meta,
            "title": _("Import"),
            **context,
        },
    )
