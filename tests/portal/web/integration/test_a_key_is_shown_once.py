from __future__ import annotations

import re
from collections.abc import Callable

from django.test import Client

from tenants.models import ApiKey
from tests.portal.web.conftest import Cast, text_of


def test_a_key_is_shown_once(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice = browse("alice")
    answer = alice.post(
        "/t/acme/keys/new",
        {"name": "Gateway", "owner": "service", "scopes": ["decide"], "lifetime": "90", "once": "t1"},
    )
    found = re.search(r"gpk_test_acme_[a-z2-7]{16}_[A-Za-z0-9_-]{43}", text_of(answer))
    assert found
    assert "no-store" in answer["Cache-Control"]
    secret = found[0].split("_", 4)[4]
    assert secret not in text_of(alice.get("/t/acme/keys"))
    assert secret not in text_of(alice.get("/t/acme/activity"))


def test_a_service_key_belongs_to_nobody_and_an_own_key_to_its_maker(
    cast: Cast, browse: Callable[[str], Client]
) -> None:
    alice = browse("alice")
    for owner in ("service", "me"):
        alice.post(
            "/t/acme/keys/new", {"name": owner, "owner": owner, "scopes": ["decide"], "lifetime": "", "once": owner}
        )
    assert ApiKey.objects.get(name="service").membership is None
    own = ApiKey.objects.get(name="me")
    assert own.membership == cast.membership("alice")
    assert own.key_id.startswith(cast.membership("alice").subject)


def test_a_member_cannot_give_scopes_beyond_their_role(cast: Cast, browse: Callable[[str], Client]) -> None:
    answer = browse("bob").post(
        "/t/acme/keys/new", {"name": "Mine", "scopes": ["keys:write"], "lifetime": "30", "once": "t1"}
    )
    assert answer.status_code == 400
    assert not ApiKey.objects.exists()


def test_reloading_the_page_makes_no_second_key(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice = browse("alice")
    form = {"name": "Gateway", "owner": "service", "scopes": ["decide"], "lifetime": "90", "once": "t1"}
    alice.post("/t/acme/keys/new", form)
    assert alice.post("/t/acme/keys/new", form)["Location"] == "/t/acme/keys"
    assert ApiKey.objects.count() == 1


def test_a_form_with_a_mistake_can_be_sent_again(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice = browse("alice")
    form = {"name": "Gateway", "owner": "service", "lifetime": "90", "once": "t1"}
    assert alice.post("/t/acme/keys/new", form).status_code == 400
    assert alice.post("/t/acme/keys/new", {**form, "scopes": ["decide"]}).status_code == 200
    assert ApiKey.objects.count() == 1
