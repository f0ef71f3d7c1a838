from __future__ import annotations

import pytest

from tenants import provisioning
from tenants.models import AuditEntry, Membership, Role, Tenant
from tenants.problems import Conflict, Invalid
from tests.tenants.cast import Cast


def test_the_first_owner_comes_with_it(cast: Cast) -> None:
    tenant = provisioning.create_tenant(
        slug="newco", name="Newco", owner=cast.people["bob"], actor="user:olivia", reason="Contract 7"
    )
    assert tenant.tier.slug == "standard"
    assert Membership.objects.get(tenant=tenant).role == Role.OWNER
    entry = AuditEntry.objects.get(table_name="tenants_tenant", tenant_id=tenant.pk)
    assert (entry.actor, entry.reason) == ("user:olivia", "Contract 7")


@pytest.mark.parametrize("slug", ["", "A", "a_b", "-a", "a-", "a" * 41, "platform", "ä", "a b", "a/b", "аcme", "a\n"])
def test_bad_slugs_are_refused(db: None, slug: str) -> None:
    with pytest.raises(Invalid) as refusal:
        provisioning.create_tenant(slug=slug, name="X", actor="system:test")
    assert "/slug" in {error.pointer for error in refusal.value.errors}
    assert not Tenant.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("time_zone", "Mars/Olympus"), ("currency", "XXX"), ("name", ""), ("contact_email", "a@b, evil@x")],
)
def test_bad_details_are_refused(db: None, field: str, value: str) -> None:
    with pytest.raises(Invalid) as refusal:
        provisioning.create_tenant(**{"slug": "newco", "name": "Newco", "actor": "system:test", field: value})
    assert [error.pointer for error in refusal.value.errors] == [f"/{field}"]


def test_a_slug_is_taken_for_good(cast: Cast) -> None:
    provisioning.close(cast.acme, actor="user:olivia", reason="Left")
    with pytest.raises(Conflict, match="exists already"):
        provisioning.create_tenant(slug="acme", name="Acme again", actor="user:olivia")
