from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from tenants.models import Visit
from tests.tenants.cast import Cast

from .conftest import Browse, begin


def test_without_a_reason_nothing_begins(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    assert begin(olivia, cast, reason="  ").status_code == 200
    assert not Visit.objects.exists()
    assert olivia.get("/t/acme/").status_code == 404


def test_support_needs_the_permission(cast: Cast, browse: Browse) -> None:
    sam = browse("sam")
    assert begin(sam, cast).status_code == 403
    assert sam.get("/t/acme/").status_code == 404
    cast.people["sam"].user_permissions.add(Permission.objects.get(codename="add_visit"))
    assert begin(sam, cast).status_code == 302
    assert sam.get("/t/acme/").status_code == 200


@pytest.mark.parametrize("person", ["alice", "mallory"])
def test_nobody_else_gets_in(person: str, cast: Cast, browse: Browse) -> None:
    assert begin(browse(person), cast).status_code in {302, 403}
    assert not Visit.objects.exists()


def test_it_ends_when_the_permission_is_taken_away(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast)
    cast.people["olivia"].groups.clear()
    assert olivia.get("/t/acme/usage").status_code == 302
    assert olivia.get("/t/acme/").status_code == 404
    assert Visit.objects.get().ended_at is not None
