"""Every address of the portal, asked in every writing way during a visit, is refused; reading them writes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.db import InternalError, connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from metering.models import Budget
from portal import visiting
from tenants.models import AuditEntry, Tenant
from tests.tenants.cast import Cast

from .conftest import Browse, begin

VALUES = {
    "slug": "acme", "invoice_id": uuid.UUID(int=1), "note_id": uuid.UUID(int=1), "reservation_id": uuid.UUID(int=1), "budget_id": uuid.UUID(int=1),
    "endpoint_id": uuid.UUID(int=1), "delivery_id": uuid.UUID(int=1), "invitation_id": uuid.UUID(int=1), "alert_id": 1, "position": 1,
    "kind": "csv", "key_id": "k", "member_id": 1, "session_id": 1, "token": "t", "export_id": uuid.UUID(int=1), "request_id": uuid.UUID(int=1),
}  # fmt: skip
MAY_WRITE = {"visit-end"}


def names() -> Iterator[tuple[str, list[str]]]:
    """Every named address of the portal, with what it needs."""

    def walk(resolver: URLResolver) -> Iterator[URLPattern]:
        for each in resolver.url_patterns:
            if isinstance(each, URLResolver):
                yield from walk(each)
            else:
                yield each

    web = next(each for each in get_resolver().url_patterns if isinstance(each, URLResolver) and each.app_name == "web")
    for pattern in walk(web):
        assert pattern.name
        found = get_resolver().namespace_dict["web"][1].reverse_dict.getlist(pattern.name)
        yield pattern.name, found[0][0][0][1]


PAGES = dict(names())


@pytest.fixture
def visitor(cast: Cast, browse: Browse) -> Client:
    olivia = browse("olivia")
    assert begin(olivia, cast).status_code == 302
    return olivia


def address(name: str) -> str:
    return reverse(f"web:{name}", kwargs={key: VALUES[key] for key in PAGES[name]})


@pytest.mark.parametrize("name", sorted(set(PAGES) - MAY_WRITE))
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_every_address_refuses_to_write(name: str, method: str, visitor: Client) -> None:
    before = AuditEntry.objects.count()
    assert getattr(visitor, method)(address(name)).status_code == 403
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize("name", sorted(PAGES))
def test_reading_any_address_writes_nothing(name: str, visitor: Client) -> None:
    before = AuditEntry.objects.count()
    assert visitor.get(address(name)).status_code in {200, 302, 403, 404, 405, 410}
    assert AuditEntry.objects.count() == before


def test_the_admin_and_the_api_write_nothing_either(cast: Cast, visitor: Client) -> None:
    page = reverse("admin:tenants_tenant_change", args=[cast.acme.pk])
    assert visitor.post(page, {"name": "Other"}).status_code == 403
    answer = visitor.post("/api/v1/tenants/acme/keys", {"name": "k"}, content_type="application/json")
    assert answer.status_code == 403
    assert answer.json()["code"] == "visit_is_read_only"
    assert answer.json()["type"].endswith("/problems/visit_is_read_only")
    assert Tenant.objects.get(pk=cast.acme.pk).name == "Acme Radiology"


def test_the_database_refuses_a_write_that_a_page_would_make(cast: Cast) -> None:
    with pytest.raises(InternalError, match="read-only transaction"), visiting.looking():
        Budget.objects.create(tenant=cast.acme, amount=1)
    with transaction.atomic():
        Budget.objects.create(tenant=cast.acme, amount=1)  # afterwards writing works again
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone()[0] == "off"
