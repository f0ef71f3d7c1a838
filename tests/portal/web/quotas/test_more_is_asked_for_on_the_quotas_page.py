from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from metering.models import Notification
from tenants.models import QuotaRequest
from tests.portal.web.conftest import text_of

Browse = Callable[[str], Client]
FORM = {"limit": "quota:gpu_hours", "asked": "150", "lasts": "7", "justification": "Training"}
URL = "/t/acme/quotas/request"


def test_the_quotas_page_leads_to_the_form_of_each_limit(browse: Browse) -> None:
    body = text_of(browse("bob").get("/t/acme/quotas"))
    assert f'href="{URL}"' in body
    assert f"{URL}?limit=quota:gpu_hours" in body
    assert f"{URL}?limit=rate_limit:minute" in body


@pytest.mark.parametrize("limit", ["gpu_hours", "quota:gpu_hours"])
def test_the_address_chooses_the_limit(browse: Browse, limit: str) -> None:
    body = text_of(browse("bob").get(f"{URL}?limit={limit}"))
    assert '<option value="quota:gpu_hours" selected>' in body


def test_asking_lists_it_and_tells_the_operators(browse: Browse, settings: Any) -> None:
    settings.PLATFORM_ALERT_EMAILS = ["ops@platform.example"]
    bob = browse("bob")
    answer = bob.post(URL, FORM)
    assert (answer.status_code, answer["Location"]) == (302, "/t/acme/quotas#requests")
    row = QuotaRequest.objects.get()
    assert (row.asked, row.requested_by.get_username(), row.state) == (Decimal(150), "bob", "pending")
    assert row.valid_until is not None
    mail = Notification.objects.get(kind="quota-request-made")
    assert (mail.recipient, f"/quotarequest/{row.pk}/" in mail.text, "Training" in mail.html) == (
        "ops@platform.example",
        True,
        True,
    )
    body = text_of(bob.get("/t/acme/quotas"))
    assert f"/t/acme/quotas/requests/{row.public_id}/withdraw" in body


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"asked": "NaN"}, "Enter a number"),
        ({"asked": "-5"}, "more than the present limit"),
        ({"asked": "100"}, "ask for more than that"),
        ({"asked": "1e30"}, "Ensure that"),
        ({"limit": "quota:bitcoins"}, "Select a valid choice"),
        ({"lasts": "9999"}, "Select a valid choice"),
        ({"justification": " "}, "required"),
    ],
)
def test_what_is_wrong_is_said_at_the_form(browse: Browse, change: dict[str, str], said: str) -> None:
    answer = browse("alice").post(URL, FORM | change)
    assert answer.status_code == 400
    assert said in text_of(answer)
    assert not QuotaRequest.objects.exists()


@pytest.mark.parametrize("name", ["carol", "victor"])
def test_who_only_looks_is_offered_nothing(browse: Browse, name: str) -> None:
    reader = browse(name)
    assert URL not in text_of(reader.get("/t/acme/quotas"))
    assert reader.post(URL, FORM).status_code == 403
    assert not QuotaRequest.objects.exists()


def test_withdrawing_asks_first(browse: Browse) -> None:
    bob = browse("bob")
    bob.post(URL, FORM)
    row = QuotaRequest.objects.get()
    url = f"/t/acme/quotas/requests/{row.public_id}/withdraw"
    assert bob.get(url).status_code == 200
    row.refresh_from_db()
    assert row.state == "pending"
    assert bob.post(url).status_code == 302
    row.refresh_from_db()
    assert row.state == "withdrawn"
    assert bob.get(url).status_code == 404


def test_a_stranger_finds_nothing(browse: Browse) -> None:
    browse("bob").post(URL, FORM)
    row = QuotaRequest.objects.get()
    mallory = browse("mallory")
    assert mallory.get(URL).status_code == 404
    assert mallory.post(f"/t/acme/quotas/requests/{row.public_id}/withdraw").status_code == 404
    assert mallory.post(f"/t/globex/quotas/requests/{row.public_id}/withdraw").status_code == 404
