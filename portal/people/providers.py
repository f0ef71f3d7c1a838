"""The identity providers of the setting OIDC_PROVIDERS, as allauth wants them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import sso_roles

NEEDED = ("id", "name", "server_url", "client_id", "client_secret")
SCOPES = ["openid", "profile", "email"]


def problems(configured: object) -> Iterable[str]:
    """What is wrong with the setting, in sentences that name the entry; nothing when it can be used."""
    if not isinstance(configured, list):
        yield "OIDC_PROVIDERS is not a list."
        return
    seen: set[str] = set()
    for position, provider in enumerate(configured, start=1):
        if not isinstance(provider, dict):
            yield f"OIDC_PROVIDERS entry {position} is not an object."
            continue
        missing = [name for name in NEEDED if not isinstance(provider.get(name), str) or not provider[name]]
        if missing:
            yield f"OIDC_PROVIDERS entry {position} lacks {', '.join(missing)}."
        elif provider["id"] in seen:
            yield f"OIDC_PROVIDERS names {provider['id']!r} twice."
        elif "roles" in provider:
            yield from (f"OIDC_PROVIDERS {provider['id']!r}: {each}" for each in sso_roles.problems(provider["roles"]))
        seen.add(str(provider.get("id")))


def usable(configured: object) -> list[dict[str, Any]]:
    """The entries without a problem; system check portal.E016 names the others."""
    entries = configured if isinstance(configured, list) else []
    return [entry for entry in entries if not list(problems([entry]))]


def for_allauth(providers: list[dict[str, Any]]) -> dict[str, Any]:
    """SOCIALACCOUNT_PROVIDERS: authorization code with PKCE."""
    apps = [
        {
            "provider_id": provider["id"],
            "name": provider["name"],
            "client_id": provider["client_id"],
            "secret": provider["client_secret"],
            "settings": {"server_url": provider["server_url"], "scope": provider.get("scope", SCOPES)},
        }
        for provider in providers
    ]
    return {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": apps}}
