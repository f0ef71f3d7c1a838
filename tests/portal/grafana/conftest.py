"""A folder of keys, and nginx's question with a person's session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from portal import grafana_access, grafana_keys
from tests.tenants.cast import Cast

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def keys(tmp_path: Path, settings: Any) -> Path:
    grafana_keys.make(tmp_path / "keys", timezone.now())
    settings.GRAFANA_KEYS_DIR = str(tmp_path / "keys")
    settings.GRAFANA_TENANT_URL = "/tenant-grafana"
    return tmp_path / "keys"


@pytest.fixture
def ask(cast: Cast, keys: Path) -> Callable[..., HttpResponse]:
    """ask("alice", "acme"): what nginx is told; door is tenant or operator."""

    def asked(person: str | None, slug: str = "", door: str = "tenant") -> HttpResponse:
        client = Client()
        if person:
            client.force_login(cast.people[person], backend=BACKEND)
        if slug:
            client.cookies[grafana_access.TENANT_COOKIE] = slug
        return client.get(f"/grafana-auth/{door}")

    return asked


@pytest.fixture
def claims(keys: Path) -> Callable[..., dict[str, Any]]:
    """The claims of an answer's token, verified as Grafana does it: by the published keys."""

    def verified(response: HttpResponse, audience: str) -> dict[str, Any]:
        token = response[grafana_access.HEADER]
        published = jwt.PyJWKSet.from_json(grafana_keys.jwks(grafana_keys.read(keys)))
        key = published[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key.key, algorithms=["ES256"], audience=audience, issuer="portal")

    return verified
