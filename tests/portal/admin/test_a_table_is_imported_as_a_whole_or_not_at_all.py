from __future__ import annotations

import csv
import io
import re
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from metering.attribution import table
from metering.models import Budget, GpuOwnerRule
from tenants.models import AuditEntry, Membership, Override, Tenant, Tier
from tests.tenants.cast import Cast

from .conftest import Browse, text_of

URL = "/admin/tenants/tenant/import/"


def send(browse: Browse, kind: str, body: str | bytes, name: str = "rows.csv", person: str = "olivia") -> Any:
    file = SimpleUploadedFile(name, body.encode() if isinstance(body, str) else body)
    return browse(person).post(URL, {"kind": kind, "file": file, "reason": "moved from the old system"})


def confirm(browse: Browse, tried: Any, person: str = "olivia") -> Any:
    found = re.search(r'name="tried" value="([^"]+)"', text_of(tried))
    assert found, "the try cannot be made"
    return browse(person).post(URL, {"tried": found[1]}, follow=True)


def workbook(*lines: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def test_the_try_shows_each_rows_outcome_and_writes_nothing(cast: Cast, browse: Browse) -> None:
    before = AuditEntry.objects.count()
    page = text_of(
        send(
            browse,
            "tenants",
            "slug,name,tier\ninitech,Initech,scale\nacme,Acme Imaging,\nglobex,Globex,standard\nx y,Bad,\nnew,New,gold",
        )
    )
    assert "Initech, tier Scale" in page
    assert "name: Acme Radiology → Acme Imaging" in page
    assert "As it is" in page
    assert "There is no such tier" in page
    assert page.count(">Refused</span>") == 3  # two rows, and the sum's title
    assert 'name="tried"' not in page
    assert (Tenant.objects.count(), AuditEntry.objects.count()) == (2, before)


def test_what_was_shown_is_made_with_actor_and_reason(cast: Cast, browse: Browse) -> None:
    Tier.objects.get(slug="scale")
    tried = send(browse, "tenants", "slug,name,tier,owner\ninitech,Initech,scale,alice\nacme,,scale,\n")
    assert "Imported: 1 created, 1 changed" in text_of(confirm(browse, tried))
    made = Tenant.objects.get(slug="initech")
    assert (made.tier.slug, made.memberships.get().user, Tenant.objects.get(slug="acme").tier.slug) == (
        "scale", cast.people["alice"], "scale",
    )  # fmt: skip
    entries = AuditEntry.objects.filter(table_name="tenants_tenant", reason="moved from the old system")
    assert set(entries.values_list("actor", "operation")) == {("user:olivia", "INSERT"), ("user:olivia", "UPDATE")}


def test_one_row_that_is_refused_meanwhile_refuses_all(cast: Cast, browse: Browse) -> None:
    tried = send(browse, "tenants", "slug,name,owner\ninitech,Initech,alice\nhooli,Hooli,bob\n")
    cast.people["bob"].is_active = False
    cast.people["bob"].save()
    page = text_of(confirm(browse, tried))
    assert "Nothing was written" in page
    assert "No single active account is called “bob”" in page
    assert Tenant.objects.count() == 2


def test_a_try_is_not_another_persons_to_make(cast: Cast, browse: Browse) -> None:
    tried = send(browse, "tenants", "slug,name\ninitech,Initech\n")
    assert "is not yours" in text_of(confirm(browse, tried, "root"))
    assert not Tenant.objects.filter(slug="initech").exists()


@pytest.mark.parametrize(
    ("kind", "line", "words"),
    [
        ("members", ["acme", "mallory", "viewer"], "mallory → viewer"),
        ("members", ["acme", "bob", "admin"], "bob: member → admin"),
        ("overrides", ["acme", "quota", "gpu_hours", 250, "", "2100-01-31"], "gpu_hours → 250"),
        ("overrides", ["acme", "rate_limit", "minute", "unlimited", "", ""], "minute → unlimited"),
        ("budgets", ["acme", 1500.5, "50 100"], "1500.5 USD, 50%, 100%"),
    ],
)
def test_workbooks_of_every_kind_are_made(cast: Cast, browse: Browse, kind: str, line: list[Any], words: str) -> None:
    header = {
        "members": ["tenant", "user", "role"],
        "overrides": ["tenant", "kind", "name", "limit", "mode", "valid_until"],
        "budgets": ["tenant", "amount", "thresholds"],
    }[kind]
    tried = send(browse, kind, workbook(header, line), "rows.xlsx")
    assert words in text_of(tried)
    assert not Override.objects.exists()
    assert not Budget.objects.filter(tenant=cast.acme).exists()
    confirm(browse, tried)
    assert words.split(" ")[0].rstrip(":") in {
        *Membership.objects.filter(tenant=cast.acme, role__in=["viewer", "admin"]).values_list(
            "user__username", flat=True
        ),
        *Override.objects.values_list("name", flat=True),
        *(f"{budget.amount.normalize():f}" for budget in Budget.objects.filter(tenant=cast.acme)),
    }
    again = text_of(send(browse, kind, workbook(header, line), "rows.xlsx"))
    assert "there is nothing to do" in again


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("rows.pdf", "x", "Send a CSV file"),
        ("rows.csv", b"\xff\xfe\x00s", "not UTF-8"),
        ("rows.csv", "name\nInitech\n", "missing: slug"),
        ("rows.csv", "slug,colour\na,b\n", "Unknown columns: colour"),
        ("rows.csv", "slug,slug\na,b\n", "stands twice"),
        ("rows.csv", "slug,name\n", "no rows"),
        ("rows.csv", "slug,name\na,b,c\n", "Line 2 has more cells"),
        ("rows.csv", "slug\n" + "a\n" * 1001, "at most 1,000"),
        ("rows.csv", "slug\n" + "a" * 1001, "more than 1000 characters"),
        ("rows.csv", b"slug\n" + b"a" * 2_000_001, "larger than 2 MB"),
        ("rows.xlsx", b"PK\x03\x04 no workbook", "not an Excel workbook"),
    ],
)
def test_a_bad_file_is_refused_with_what_to_do(
    cast: Cast, browse: Browse, name: str, body: str | bytes, words: str
) -> None:
    answer = send(browse, "tenants", body, name)
    assert answer.status_code == 200
    assert words in text_of(answer)


@pytest.mark.parametrize("kind", ["tenants", "members", "overrides", "budgets", "gpu_owners"])
def test_the_present_rows_come_as_a_file_that_changes_nothing(cast: Cast, browse: Browse, kind: str) -> None:
    Tenant.objects.filter(pk=cast.acme.pk).update(name="=1+1")
    GpuOwnerRule.objects.create(fact="container", pattern="-acme/*", tenant=cast.acme, position=5)
    file = browse("olivia").get(URL, {"kind": kind, "format": "csv"})
    rows = list(csv.reader(io.StringIO(text_of(file))))
    if len(rows) == 1:
        return
    page = text_of(send(browse, kind, text_of(file)))
    assert "there is nothing to do" in page


def test_gpu_owner_rules_are_made_changed_and_left_alone(cast: Cast, browse: Browse) -> None:
    for pattern, position in (("svc-acme*", 10), ("shared-*", 20)):
        GpuOwnerRule.objects.create(fact="user", pattern=pattern, tenant=cast.acme, position=position)
    lines = "position,fact,pattern,node,tenant\n,user,svc-acme*,,globex\n20,user,shared-*,,acme\n30,Container,team-g/*,gpu-01,globex\n,command,triton*,,acme"
    tried = send(browse, "gpu_owners", lines)
    assert "tenant: acme → globex" in text_of(tried)
    assert GpuOwnerRule.objects.count() == 2

    assert confirm(browse, tried).redirect_chain[-1][0] == reverse("admin:metering_gpuownerrule_changelist")
    assert list(GpuOwnerRule.objects.values_list("position", "fact", "pattern", "node", "tenant__slug")) == [
        (10, "user", "svc-acme*", "", "globex"), (20, "user", "shared-*", "", "acme"), (30, "container", "team-g/*", "gpu-01", "globex"),
        (100, "command", "triton*", "", "acme"),
    ]  # fmt: skip
    entry = AuditEntry.objects.filter(reason="moved from the old system").latest("pk")
    assert entry.actor == "user:olivia"
    assert len(table.in_force("gpu-01")) == 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,process,x,,acme", "not a valid choice"),
        ("1,user,x,,nobody", "There is no tenant"),
        ("-1,user,x,,acme", "not a whole number"),
        ("1e3,user,x,,acme", "not a whole number"),
        (f"1,user,{'x' * 201},,acme", "at most 200 characters"),
        (f"1,user,x,{'n' * 121},acme", "at most 120 characters"),
        ("1,user,,,acme", "Empty: pattern"),
        ("1,user,x,,gone", "is closed"),
    ],
)
def test_a_gpu_owner_rule_that_cannot_be_is_refused(cast: Cast, browse: Browse, line: str, words: str) -> None:
    Tenant.objects.create(slug="gone", name="Gone", tier=cast.acme.tier, state="closed")
    page = text_of(send(browse, "gpu_owners", f"position,fact,pattern,node,tenant\n{line}"))
    assert words in page
    assert 'name="tried"' not in page


def test_the_list_of_gpu_owner_rules_leads_to_the_import(cast: Cast, browse: Browse) -> None:
    changelist = reverse("admin:metering_gpuownerrule_changelist")
    assert "import-file" in text_of(browse("olivia").get(changelist))
    led = browse("olivia").get(f"{changelist}import-file/")
    assert led.url == f"{URL}?kind=gpu_owners"
    assert "import-file" not in text_of(browse("sam").get(changelist))


def test_without_the_right_there_is_no_import(cast: Cast, browse: Browse) -> None:
    assert browse("sam").get(URL).status_code == 403
    assert send(browse, "tenants", "slug\na\n", person="sam").status_code == 403
    assert browse("alice").get(URL).status_code in (302, 403)
    assert reverse("admin:tenants_tenant_import") == URL
