from __future__ import annotations

import pytest
from django.db import OperationalError
from django.test import Client

from tenants.api import me
from tests.portal.api.calling import Api, Callers, problem


@pytest.mark.parametrize(
    "path", ["nowhere", "", "tenants/acme/nowhere", "/api/v2/tenants", "/api/", "/api", "me/", "tenants/"]
)
def test_unknown_urls(callers: Callers, path: str) -> None:
    for caller in (callers.key(), callers.anonymous()):
        assert problem(caller.get(path), 404, "not_found")["instance"] == "/api/v1"


def test_wrong_methods_say_which_are_right(callers: Callers) -> None:
    answer = callers.key().post("me", {})
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer["Allow"]
    for method in ("TRACE", "OPTIONS", "PURGE"):
        problem(callers.key().send(method, "me"), 405, "method_not_allowed")


def test_nobody_is_nobody(callers: Callers) -> None:
    answer = callers.anonymous().get("me")
    assert problem(answer, 401, "not_authenticated")["instance"] == "/api/v1/me"
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(
    "authorization",
    ["Basic YWxpY2U6YQ==", "Bearer", "Bearer x", "bearer gpk_test_acme_x_y", "Token abc", "Bearer a, Bearer b"],
)
def test_a_bad_credential_is_not_made_good_by_a_session(callers: Callers, authorization: str) -> None:
    problem(callers.person("alice").get("me", Authorization=authorization), 401, "invalid_key")


def test_a_fault_tells_nothing_about_itself(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(me, "_key", broken)
    answer = callers.key().get("me")
    problem(answer, 500, "internal_error")
    assert b"secret" not in answer.content


def test_a_database_that_is_away_says_when_to_come_back(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(me, "_key", away)
    answer = callers.key().get("me")
    problem(answer, 503, "service_unavailable")
    assert int(answer["Retry-After"]) > 0


def test_a_bad_host_is_a_problem_too(callers: Callers) -> None:
    assert Client(headers={"host": "a b"}).get("/api/v1/me").status_code == 400


def test_whatever_is_accepted_json_is_served(callers: Callers) -> None:
    key = callers.key()
    for accept in ("text/html", "application/xml", "*/*", "", "nonsense", "application/problem+json"):
        assert key.get("me", Accept=accept)["Content-Type"] == "application/json"


def test_writes_of_a_session_need_the_csrf_token(callers: Callers) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(callers.cast.people["alice"], backend="allauth.account.auth_backends.AuthenticationBackend")
    api = Api(callers.commit, strict)
    problem(api.post("tenants/acme/api-keys", {"name": "x", "preset": "read"}), 403, "permission_denied")
    assert api.get("me").status_code == 200


def test_a_post_to_a_url_that_is_none(db):
    answer = Client(enforce_csrf_checks=True).post("/api/v1/price-book", {}, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "not_found"
