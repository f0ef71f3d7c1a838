from __future__ import annotations

import csv
import io

import openpyxl
from django.http import HttpResponse
from django.urls import reverse

from tenants.credentials import apikeys
from tenants.models import ApiKey, Tenant
from tests.tenants.cast import Cast

from .conftest import Browse

EVIL = '=HYPERLINK("http://evil.example")'


def export(browse: Browse, model: str, kind: str, rows: list[int], person: str = "olivia") -> HttpResponse:
    values = {"action": f"export_{kind}", "_selected_action": rows}
    return browse(person).post(reverse(f"admin:{model}_changelist"), values)


def lines(response: HttpResponse) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.content.decode())))


def test_a_name_that_looks_like_a_formula_stays_text(cast: Cast, browse: Browse) -> None:
    Tenant.objects.filter(pk=cast.acme.pk).update(name=EVIL)
    header, row = lines(export(browse, "tenants_tenant", "csv", [cast.acme.pk]))
    assert "Tenant" in header
    assert any(cell.startswith("'=HYPERLINK") for cell in row)
    assert not any(cell.startswith("=") for cell in row)
    book = openpyxl.load_workbook(io.BytesIO(export(browse, "tenants_tenant", "xlsx", [cast.acme.pk]).content))
    assert all(cell.data_type != "f" for line in book.active.iter_rows() for cell in line)


def test_only_the_chosen_rows_are_in_it(cast: Cast, browse: Browse) -> None:
    assert len(lines(export(browse, "tenants_tenant", "csv", [cast.globex.pk]))) == 2


def test_support_may_and_strangers_may_not(cast: Cast, browse: Browse) -> None:
    assert export(browse, "tenants_tenant", "csv", [cast.acme.pk], "sam").status_code == 200
    assert export(browse, "tenants_tenant", "csv", [cast.acme.pk], "mallory").status_code in {302, 403}


def test_no_file_holds_what_verifies_a_key(cast: Cast, browse: Browse) -> None:
    apikeys.create(cast.acme, name="k", scopes=["decide"], by=None, actor="test")
    key = ApiKey.objects.get()
    body = export(browse, "tenants_apikey", "csv", [key.pk]).content
    assert key.name.encode() in body
    for field in ApiKey._meta.concrete_fields:
        if "hash" in field.name or "digest" in field.name:
            assert str(getattr(key, field.name)).encode() not in body
