from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.test import Client

from metering.focus.validation import validate
from tests.metering.billing.invoices import issued_invoice
from tests.tenants.cast import Cast

from .conftest import Browse

EXPLORER, REVENUE, FOCUS = (f"/admin/tenants/tenant/{page}/" for page in ("explorer", "revenue", "focus"))


@pytest.fixture
def operator(cast: Cast, browse: Browse) -> Client:
    issued_invoice(cast.acme)
    return browse("olivia")


@pytest.mark.parametrize("group", ["tenant", "meter", "model", "day", "project", "user", "api_key"])
def test_the_explorer_answers(operator: Client, group: str) -> None:
    response = operator.get(EXPLORER, {"group_by": group})
    assert response.status_code == 200
    assert "$25.00" in response.content.decode(), "last month's ten GPU hours"


def test_one_tenant_can_be_chosen(operator: Client) -> None:
    text = operator.get(EXPLORER, {"tenant": "globex", "format": "csv"}).content.decode()
    assert len(text.splitlines()) == 1
    assert operator.get(EXPLORER, {"tenant": "nobody"}).status_code == 404


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_files_can_be_taken_along(operator: Client, kind: str) -> None:
    for page in (EXPLORER, REVENUE):
        assert operator.get(page, {"format": kind}).headers["Content-Disposition"].endswith(f'.{kind}"')


def test_revenue_has_the_invoice(operator: Client) -> None:
    header, *rows = csv.reader(io.StringIO(operator.get(REVENUE, {"format": "csv"}).content.decode()))
    assert [dict(zip(header, row, strict=True))["invoiced"] for row in rows] == ["25.00"]
    assert operator.get(REVENUE).status_code == 200


def test_focus_streams_a_sound_file(operator: Client) -> None:
    response: Any = operator.get(FOCUS)
    header, *rows = csv.reader(io.StringIO(b"".join(response.streaming_content).decode()))
    assert list(validate(header, rows)) == []


@pytest.mark.parametrize("page", [EXPLORER, REVENUE, FOCUS])
def test_tenants_people_stay_out(browse: Browse, page: str) -> None:
    assert browse("alice").get(page).status_code in (302, 403)
