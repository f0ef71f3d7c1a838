"""Reserved GPUs: who holds what now, until when, what it has cost; managers can take them back."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from metering.models import Reservation, ReservationState
from metering.reservations import ending, reading
from tenants import audit
from tenants.access import Access
from tenants.models import Role

from ..frame.pages import Page, tenant_page
from ..writing import formats

PER_PAGE = 25
TONES = {
    ReservationState.HELD: "good",
    ReservationState.LAPSED: "warn",
    ReservationState.RELEASED: "warn",
}


@tenant_page("reservations")
def index(request: HttpRequest, access: Access) -> Page:
    """GET: what is held now, live, and below it what has ended. Costs are shown to those who see costs."""
    now = timezone.now()
    mine = Reservation.objects.filter(tenant=access.tenant)
    ended = Paginator(mine.exclude(state=ReservationState.HELD).order_by("-closed_at", "-id"), PER_PAGE)
    page = ended.get_page(request.GET.get("page"))
    context = {
        "running": [_row(row, access, now) for row in reading.running(mine)],
        "ended": [_row(row, access, now) for row in page],
        "page_obj": page,
        "summary": _summary(mine),
        "sees_costs": access.sees_costs,
    }
    return Page("portal/gpus/reservations.html", context, fragment="portal/gpus/_reservations_running.html")


@tenant_page("reservations", methods=("GET", "HEAD", "POST"))
def release(request: HttpRequest, access: Access, reservation_id: UUID) -> Page | HttpResponse:
    """GET: the question. POST: the GPUs are given back. One that has ended already, or is a stranger's, is not there."""
    access.require(Role.OWNER, Role.ADMIN)
    row = Reservation.objects.filter(
        tenant=access.tenant, public_id=reservation_id, state=ReservationState.HELD
    ).first()
    if row is None:
        raise Http404
    back = reverse("web:reservations", args=[access.tenant.slug])
    if request.method == "POST":
        actor = audit.user_actor(request.user)
        ending.release(access.tenant, reservation_id, actor=actor, reason=_("Released by hand"), now=timezone.now())
        messages.success(request, _("The GPUs are given back. The job’s next heartbeat is told so."))
        return redirect(back)
    context = {
        "title": _("Release %(what)s?") % {"what": _what(row)},
        "text": _(
            "The reservation ends where it was last confirmed. A job that runs on is not stopped: what it still holds is billed as measured."
        ),
        "button": _("Release GPUs"),
        "action": request.path,
        "cancel_url": back,
        "cancel_label": _("Reservations"),
    }
    return Page("portal/frame/confirm.html", context, fragment="portal/frame/_confirm.html")


def _summary(mine: QuerySet[Reservation]) -> str:
    rows = list(reading.running(mine).values_list("gpus", "fraction"))
    gpus = sum(count * fraction for count, fraction in rows)
    if not rows:
        return _("Nothing is held now.")
    return ngettext("%(gpus)s GPU is held.", "%(gpus)s GPUs are held.", 1 if gpus == 1 else 2) % {
        "gpus": formats.number(gpus, 0 if gpus == int(gpus) else 2)
    }


def _what(row: Reservation) -> str:
    whole = f"{row.gpus} × {row.gpu_model}"
    return (
        whole
        if row.fraction == 1
        else _("%(part)s of %(gpus)s") % {"part": formats.percent(row.fraction * 100), "gpus": whole}
    )


def _row(row: Reservation, access: Access, now: datetime) -> dict[str, Any]:
    held = row.state == ReservationState.HELD
    share = (reading.held_until(row, now) - row.started_at).total_seconds() / max(row.expected_seconds, 1)
    may = held and access.manages and not access.read_only
    return {
        "id": row.public_id,
        "what": _what(row),
        "who": row.labels.get("user") or row.created_by.removeprefix("key:"),
        "labels": [f"{name}: {value}" for name, value in sorted(row.labels.items()) if name != "user"],
        "state": row.get_state_display(),
        "tone": TONES.get(ReservationState(row.state), ""),
        "started_at": row.started_at,
        "ends_at": row.ended_at or reading.expected_end(row),
        "overrun": reading.is_overrun(row, now),
        "heartbeat_at": ending.confirmed(row),
        "percent": min(100, round(share * 100)),
        "hours": formats.number(reading.gpu_hours(row, now)),
        "reserved": formats.number(reading.reserved_hours(row)),
        "cost": formats.money(reading.cost(row, now)),
        "estimate": formats.money(reading.estimate(row)),
        "release_url": reverse("web:reservation-release", args=[access.tenant.slug, row.public_id]) if may else "",
    }
