from __future__ import annotations

import pytest
from django.contrib.admin import site
from django.db import connection
from django.urls import reverse

from tenants import audit, provisioning
from tenants.admin.audit import AuditEntryAdmin
from tenants.models import AuditEntry
from tests.tenants.cast import Cast

from .conftest import Browse, text_of


@pytest.fixture
def entry(cast: Cast) -> AuditEntry:
    provisioning.update(cast.acme, {"name": "Acme <b>Ltd</b>"}, actor="user:olivia", reason="register of companies")
    return AuditEntry.objects.get(table_name="tenants_tenant", operation="UPDATE")


def test_a_change_shows_what_was_and_what_is(entry: AuditEntry, browse: Browse) -> None:
    page = text_of(browse("sam").get(reverse("admin:tenants_auditentry_change", args=[entry.pk])))
    assert "<del>Acme Radiology</del>" in page
    assert "<ins>Acme &lt;b&gt;Ltd&lt;/b&gt;</ins>" in page
    assert "register of companies" in page


@pytest.mark.parametrize("words", ["user:olivia", "register of", "tenants_tenant", "acme"])
def test_it_is_searched_by_person_reason_table_and_tenant(words: str, entry: AuditEntry, browse: Browse) -> None:
    found = browse("sam").get(reverse("admin:tenants_auditentry_changelist"), {"q": words})
    assert entry.pk in [row.pk for row in found.context["cl"].result_list]


def test_it_is_filtered_by_tenant(entry: AuditEntry, cast: Cast, browse: Browse) -> None:
    url = reverse("admin:tenants_auditentry_changelist")
    rows = browse("sam").get(url, {"tenant__id__exact": cast.globex.pk}).context["cl"].result_list
    assert rows
    assert {row.tenant_id for row in rows} == {cast.globex.pk}


def test_nobody_writes_it(entry: AuditEntry, browse: Browse) -> None:
    root = browse("root")
    assert root.get(reverse("admin:tenants_auditentry_add")).status_code == 403
    assert root.post(reverse("admin:tenants_auditentry_change", args=[entry.pk]), {"reason": "x"}).status_code == 403
    assert root.post(reverse("admin:tenants_auditentry_delete", args=[entry.pk]), {"post": "yes"}).status_code == 403


def test_a_broken_chain_is_said(entry: AuditEntry, browse: Browse) -> None:
    sam, url = browse("sam"), reverse("admin:tenants_auditentry_check_chain")
    assert "unbroken" in text_of(sam.get(url, follow=True))
    with audit.acting("test"), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tenants_auditentry DISABLE TRIGGER USER")
        cursor.execute("UPDATE tenants_auditentry SET reason = 'nothing happened' WHERE id = %s", [entry.pk])
        cursor.execute("ALTER TABLE tenants_auditentry ENABLE TRIGGER USER")
    page = text_of(sam.get(url, follow=True))
    assert "tampered" in page
    assert str(entry.pk) in page


def test_a_hash_is_shortened_and_opens_in_full(entry: AuditEntry, browse: Browse) -> None:
    old, new = "ab" * 32, "sha256:" + "cd" * 32
    changed = AuditEntry(operation="UPDATE", old={"hash": old, "name": "x" * 40}, new={"hash": new, "name": "y"})
    listed = AuditEntryAdmin(AuditEntry, site).diff_in_short(changed)
    opened = AuditEntryAdmin(AuditEntry, site).diff(changed)
    for page in (listed, opened):
        assert "<summary>abababab…" in page
        assert "<summary>sha256:cdcdcdcd…" in page
        assert f"<span>{old}</span></details>" in page, "the whole of it is there for who opens it"
    assert f"<del>{'x' * 23}…</del>" in listed
    assert f"<del>{'x' * 40}</del>" in opened
    page = text_of(browse("sam").get(reverse("admin:tenants_auditentry_change", args=[entry.pk])))
    assert f"<summary>{entry.hash[:8]}…" in page
    assert f"<summary>{entry.previous_hash[:8]}…" in page
