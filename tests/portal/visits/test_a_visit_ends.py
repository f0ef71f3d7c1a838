"""By hand, by signing out, by the next visit, or by itself after half an hour; the trail says when."""

from __future__ import annotations

from datetime import timedelta

import time_machine
from django.utils import timezone

from tenants.models import Visit
from tenants.people import visits
from tests.tenants.cast import Cast

from .conftest import Browse, begin

LONG = timedelta(minutes=31)


def test_by_hand(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast)
    assert olivia.post("/visit/end").url.endswith(f"/tenants/tenant/{cast.acme.pk}/change/")  # type: ignore[attr-defined]
    assert olivia.get("/t/acme/").status_code == 404
    assert Visit.objects.get().ended_at is not None


def test_by_signing_out(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast)
    olivia.post("/accounts/logout/")
    assert Visit.objects.get().ended_at is not None


def test_by_itself_after_half_an_hour(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast)
    visit = Visit.objects.get()
    assert visit.ends_at - visit.started_at == timedelta(minutes=30)
    with time_machine.travel(timezone.now() + LONG, tick=False):
        assert olivia.get("/t/acme/usage").status_code == 302
        assert olivia.get("/t/acme/usage").status_code == 404
    visit.refresh_from_db()
    assert visit.ended_at == visit.ends_at


def test_the_trail_hears_of_an_end_nobody_saw(cast: Cast, browse: Browse) -> None:
    begin(browse("olivia"), cast)
    assert visits.end_overdue(timezone.now()) == 0
    assert visits.end_overdue(timezone.now() + LONG) == 1
    visit = Visit.objects.get()
    assert visit.ended_at == visit.ends_at


def test_afterwards_the_operator_works_again(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast)
    olivia.post("/visit/end")
    assert begin(olivia, cast, "member").status_code == 302
    assert Visit.objects.filter(ended_at__isnull=True).count() == 1
