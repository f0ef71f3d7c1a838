from __future__ import annotations

import pytest

from tenants import provisioning
from tenants.credentials import apikeys
from tenants.models import AuditEntry, TenantState
from tenants.problems import Conflict, Invalid
from tests.tenants.cast import Cast


def test_suspended_says_why_and_resumed_forgets_it(cast: Cast) -> None:
    provisioning.suspend(cast.acme, actor="user:olivia", reason="Unpaid since May")
    assert (cast.acme.state, cast.acme.state_reason) == (TenantState.SUSPENDED, "Unpaid since May")
    provisioning.resume(cast.acme, actor="user:olivia")
    cast.acme.refresh_from_db()
    assert (cast.acme.state, cast.acme.state_reason) == (TenantState.ACTIVE, "")


@pytest.mark.parametrize("act", [provisioning.suspend, provisioning.close])
def test_without_a_reason_nothing_happens(cast: Cast, act: object) -> None:
    with pytest.raises(Invalid):
        act(cast.acme, actor="user:olivia", reason=" ")  # type: ignore[operator]
    cast.acme.refresh_from_db()
    assert cast.acme.is_active


def test_closed_is_for_good_and_ends_every_key(cast: Cast) -> None:
    key = apikeys.create(cast.acme, name="x", scopes=["decide"], by=None, actor="system:test").key
    provisioning.close(cast.acme, actor="user:olivia", reason="Left")
    key.refresh_from_db()
    assert key.revoked_at is not None
    for act in (provisioning.resume, provisioning.suspend):
        with pytest.raises(Conflict, match="for good"):
            act(cast.acme, actor="user:olivia", reason="Back?")


@pytest.mark.parametrize("field", ["slug", "currency", "state", "policy_version"])
def test_some_things_never_change(cast: Cast, field: str) -> None:
    with pytest.raises(Invalid, match="cannot be changed"):
        provisioning.update(cast.acme, {field: "x"}, actor="user:olivia")


def test_the_trail_names_what_changed(cast: Cast) -> None:
    provisioning.update(cast.acme, {"name": "Acme Imaging"}, actor="user:olivia", reason="Renamed")
    entry = AuditEntry.objects.filter(table_name="tenants_tenant").latest("id")
    assert (entry.actor, entry.reason, entry.new) == ("user:olivia", "Renamed", {"name": "Acme Imaging"})
