from __future__ import annotations

from tenants.models import AuditEntry
from tests.tenants.cast import Cast

from .conftest import Browse, begin


def test_beginning_and_end_are_in_the_trail_with_who_and_why(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast)
    olivia.post("/visit/end")
    entries = AuditEntry.objects.filter(tenant=cast.acme, table_name="tenants_visit").order_by("id")
    assert [(entry.operation, entry.actor) for entry in entries] == [
        ("INSERT", "operator:olivia"),
        ("UPDATE", "operator:olivia"),
    ]
    assert entries[0].reason == "ticket 17: a wrong total"


def test_activity_tells_it_in_words(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    begin(olivia, cast, "billing")
    olivia.post("/visit/end")
    body = browse("alice").get("/t/acme/activity").content.decode()
    assert "began to look at this portal as Billing, read-only" in body
    assert "ended the look at this portal" in body
    assert "ticket 17: a wrong total" in body
    assert "Platform staff" in body
