"""How the tests call the API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpResponse
from django.test import Client

from tenants.credentials import apikeys, operator_tokens
from tenants.enforcement import engine
from tests.tenants.cast import Cast

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@contextmanager
def patient_enforcement(settings: Any) -> Iterator[None]:
    """On a busy machine Redis may take longer than the hot path would wait; what happens then is tested elsewhere."""
    settings.ENFORCEMENT_TIMEOUT_MS = 3000
    engine.enforcer.cache_clear()
    yield
    engine.enforcer.cache_clear()


class Api:
    """One caller of the API. What a request publishes on commit is published when it returns."""

    def __init__(self, commit: Any, client: Client, key: str | None = None) -> None:
        self.commit = commit
        self.client = client
        self.key = key

    def send(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", **headers: str
    ) -> HttpResponse:
        """`body` is sent as JSON, bytes as they are. Header names with _ for -. Paths are below /api/v1/."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        url = path if path.startswith("/") else f"/api/v1/{path}"
        with self.commit(execute=True):
            return self.client.generic(method, url, data, content_type=content_type if data else "", headers=sent)

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **options: Any) -> HttpResponse:
        return self.send("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> HttpResponse:
        return self.send("PUT", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> HttpResponse:
        return self.send("PATCH", path, body, **options)

    def delete(self, path: str, **headers: str) -> HttpResponse:
        return self.send("DELETE", path, **headers)


class Callers:
    """Everybody who may call: people by name, keys by their scopes, operators by token."""

    def __init__(self, cast: Cast, commit: Any) -> None:
        self.cast = cast
        self.commit = commit

    def anonymous(self) -> Api:
        return Api(self.commit, Client())

    def person(self, name: str) -> Api:
        client = Client()
        client.force_login(self.cast.people[name], backend=BACKEND)
        return Api(self.commit, client)

    def key(self, scopes: Iterable[str] | str = "admin", tenant: str = "acme") -> Api:
        """A service key with a preset's scopes, or those that are named."""
        wanted = apikeys.PRESETS[scopes] if isinstance(scopes, str) else scopes
        with self.commit(execute=True):
            issued = apikeys.create(
                getattr(self.cast, tenant), name="Test", scopes=wanted, by=None, actor="system:test"
            )
        return Api(self.commit, Client(), issued.text)

    def member_key(self, name: str, scopes: Iterable[str]) -> Api:
        member = self.cast.membership(name)
        with self.commit(execute=True):
            issued = apikeys.create(
                member.tenant, name="Own", scopes=scopes, by=member, member=member, actor=f"user:{name}"
            )
        return Api(self.commit, Client(), issued.text)

    def token(self, name: str = "olivia") -> Api:
        with self.commit(execute=True):
            issued = operator_tokens.create(self.cast.people[name], name="Test", actor="system:test")
        return Api(self.commit, Client(), issued.text)

    def text(self, text: str) -> Api:
        """Whoever holds this key text."""
        return Api(self.commit, Client(), text)


def problem(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """The problem detail, after a look at what every one of them has."""
    body = json.loads(response.content)
    assert (response.status_code, body.get("code")) == (status, code), response.content[:500]
    assert response["Content-Type"] == "application/problem+json"
    assert body["status"] == status
    assert body["type"].endswith("/" + code)
    assert {"title", "detail"} <= body.keys()
    return dict(body)
