"""Downloads: long files that are written in the background, with their progress, and the way to fetch them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.files import exporting
from metering.models import Export, ExportKind, ExportState
from tenants.access import Access
from tenants.problems import ProblemError

from ..drawing.components import share
from ..frame.forms import show_problem
from ..frame.pages import Page, tenant_page
from ..frame.shell import MANAGERS
from ..writing import formats
from .export_form import ExportForm

SHOWN = 50
TONES = {ExportState.QUEUED: "", ExportState.RUNNING: "accent", ExportState.DONE: "good", ExportState.FAILED: "bad"}


@tenant_page("exports", methods=("GET", "HEAD", "POST"))
def index(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: the files and their progress; to htmx only the list. POST: ask for a file."""
    tenant, now = access.tenant, timezone.now()
    today = now.astimezone(ZoneInfo(tenant.time_zone)).date()
    form = ExportForm(
        request.POST if request.method == "POST" else None, initial={"first": today - timedelta(days=29), "last": today}
    )
    if request.method == "POST":
        access.require(*MANAGERS)
        if form.is_valid():
            values = form.cleaned_data
            try:
                exporting.ask(access.membership, ExportKind(values["kind"]), values["first"], values["last"], now)
            except ProblemError as problem:
                show_problem(form, problem)
            else:
                messages.success(request, _("The file is being written. You get a mail when it is ready."))
                return redirect("web:exports", tenant.slug)
    rows = Export.objects.filter(tenant=tenant).select_related("membership__user").order_by("-asked_at", "-pk")[:SHOWN]
    found = [_row(row) for row in rows]
    context = {
        "exports": found,
        "writing": any(row["writing"] for row in found),
        "form": form,
        "can_ask": access.can(*MANAGERS) and not access.read_only,
    }
    return Page(
        "portal/downloads/exports.html",
        context,
        status=400 if form.errors else 200,
        fragment="portal/downloads/_exports.html",
    )


@tenant_page("exports")
def download(request: HttpRequest, access: Access, export_id: UUID) -> HttpResponse:
    """The file, until it expires. Another tenant's, an unfinished and an expired one are all not found."""
    export = Export.objects.filter(
        tenant=access.tenant, public_id=export_id, state=ExportState.DONE, expires_at__gt=timezone.now()
    ).first()
    if export is None:
        raise Http404
    pieces: Iterator[bytes] = exporting.file_of(export)
    response = HttpResponse(b"".join(pieces), content_type="application/gzip")
    response["Content-Disposition"] = f'attachment; filename="{export.filename}.gz"'
    response["Cache-Control"] = "private, no-store"
    return response


def _row(export: Export) -> dict[str, Any]:
    state = ExportState(export.state)
    percent = share(Decimal(export.rows), Decimal(export.rows_expected)) if export.rows_expected else None
    return {
        "id": export.public_id,
        "filename": export.filename,
        "kind": export.get_kind_display(),
        "who": export.membership.user.get_username(),
        "asked_at": export.asked_at,
        "state": state.label,
        "tone": TONES[state],
        "writing": state in (ExportState.QUEUED, ExportState.RUNNING),
        "percent": percent,
        "rows": formats.number(export.rows),
        "ready": state == ExportState.DONE,
        "expires_at": export.expires_at,
        "error": export.error,
    }
