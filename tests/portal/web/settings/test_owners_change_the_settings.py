from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from tenants import periods
from tenants.models import AuditEntry
from tests.portal.web.conftest import Cast, text_of

FORM = {"name": "Acme Imaging", "contact_email": "ops@acme.example", "time_zone": "America/New_York"}


def test_an_owner_changes_them_and_the_month_stays_as_it_began(cast: Cast, browse: Callable[[str], Client]) -> None:
    before = periods.period_at(cast.acme, timezone.now())
    answer = browse("alice").post("/t/acme/settings", FORM, follow=True)
    assert "from the next month on" in text_of(answer)
    cast.acme.refresh_from_db()
    assert (cast.acme.name, cast.acme.contact_email, cast.acme.time_zone) == tuple(FORM.values())
    after = periods.period_at(cast.acme, timezone.now())
    assert (after.pk, after.time_zone) == (before.pk, "Europe/Zurich")
    assert "is kept in Europe/Zurich to its end" in text_of(answer)
    assert AuditEntry.objects.filter(table_name="tenants_tenant", operation="UPDATE", actor="user:alice").exists()


@pytest.mark.parametrize("person", ["ada", "carol", "bob", "victor"])
def test_nobody_else_does(cast: Cast, browse: Callable[[str], Client], person: str) -> None:
    assert browse(person).post("/t/acme/settings", FORM).status_code == 403
    assert 'name="time_zone"' not in text_of(browse(person).get("/t/acme/settings"))
    cast.acme.refresh_from_db()
    assert cast.acme.time_zone == "Europe/Zurich"


@pytest.mark.parametrize("change", [{"time_zone": "Mars/Olympus"}, {"name": ""}, {"contact_email": "nobody"}])
def test_what_cannot_be_is_refused(cast: Cast, browse: Callable[[str], Client], change: dict[str, str]) -> None:
    assert browse("alice").post("/t/acme/settings", FORM | change).status_code == 400
    cast.acme.refresh_from_db()
    assert cast.acme.name == "Acme Radiology"
