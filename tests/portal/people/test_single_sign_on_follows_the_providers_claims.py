"""Against a real OpenID Connect provider on localhost: discovery, PKCE, code, token, signature, userinfo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.test import Client

from portal.people import providers
from tenants.models import AuditEntry, Membership, Role, User
from tests.portal.web.conftest import Cast, text_of

oidc = pytest.importorskip("oidc_provider_mock")


@pytest.fixture
def provider(settings: Any) -> Iterator[str]:
    with oidc.run_server_in_thread() as server:
        url = f"http://localhost:{server.server_port}"
        settings.OIDC_PROVIDERS = [
            {
                "id": "corp",
                "name": "Corp",
                "server_url": url,
                "client_id": "portal",
                "client_secret": "s3cret",
                "roles_claim": "groups",
                "match_addresses": True,
                "roles": {"gpu": "acme:member", "gpu-leads": "acme:admin", "ops": "platform:operator"},
            }
        ]
        settings.SOCIALACCOUNT_PROVIDERS = providers.for_allauth(settings.OIDC_PROVIDERS)
        yield url


def sign_on(provider: str, subject: str, **claims: Any) -> tuple[Client, Any]:
    """Go through the provider's own log-in as that person; the browser and the portal's last answer."""
    httpx.put(f"{provider}/users/{subject}", json=claims).raise_for_status()
    browser = Client()
    away = browser.post("/accounts/oidc/corp/login/")
    assert away.status_code == 302, text_of(away)
    assert "code_challenge=" in away["Location"]
    back = httpx.post(away["Location"], data={"sub": subject})
    parts = urlsplit(back.headers["location"])
    answer = browser.get(f"{parts.path}?{parts.query}", follow=True)
    return browser, answer


def roles(user: User) -> dict[str, str]:
    return dict(Membership.objects.filter(user=user, removed_at__isnull=True).values_list("tenant__slug", "role"))


def test_a_new_person_gets_an_account_and_their_place(cast: Cast, provider: str) -> None:
    browser, _ = sign_on(provider, "dora", email="dora@corp.example", email_verified=True, groups=["gpu", "lunch"])
    dora = User.objects.get(email="dora@corp.example")
    assert roles(dora) == {"acme": Role.MEMBER}
    assert browser.get("/t/acme/").status_code == 200
    entry = AuditEntry.objects.filter(table_name="tenants_membership", tenant=cast.acme).latest("id")
    assert (entry.actor, entry.reason) == ("sso:corp", "by the identity provider's claims")


def test_claims_are_followed_at_every_sign_in(cast: Cast, provider: str) -> None:
    person = {"email": "dora@corp.example", "email_verified": True}
    sign_on(provider, "dora", **person, groups=["gpu", "gpu-leads"])
    dora = User.objects.get(email="dora@corp.example")
    assert roles(dora) == {"acme": Role.ADMIN}  # the highest
    sign_on(provider, "dora", **person, groups=["ops"])
    dora.refresh_from_db()
    assert roles(dora) == {}
    assert dora.is_staff
    assert list(dora.groups.values_list("name", flat=True)) == ["Operators"]
    sign_on(provider, "dora", **person, groups=[])
    dora.refresh_from_db()
    assert not dora.is_staff
    assert not dora.groups.exists()


def test_the_provider_decides_only_about_the_tenants_it_names(cast: Cast, provider: str) -> None:
    mallory = cast.people["mallory"]
    sign_on(provider, "m", email=mallory.email, email_verified=True, groups=[])
    assert roles(mallory) == {"globex": Role.OWNER}


def test_the_last_owner_stays(cast: Cast, provider: str) -> None:
    alice = cast.people["alice"]
    sign_on(provider, "alice", email=alice.email, email_verified=True, groups=[])
    assert roles(alice) == {"acme": Role.OWNER}


def test_who_has_no_place_gets_no_account(cast: Cast, provider: str) -> None:
    sign_on(provider, "eve", email="eve@corp.example", email_verified=True, groups=["lunch"])
    assert not User.objects.filter(email="eve@corp.example").exists()


def test_an_address_that_is_not_verified_opens_no_account_of_somebody_else(cast: Cast, provider: str) -> None:
    browser, _ = sign_on(provider, "eve", email=cast.people["alice"].email, email_verified=False, groups=["gpu"])
    assert browser.session.get("_auth_user_id") != str(cast.people["alice"].pk)


def test_an_address_opens_no_account_where_the_provider_is_not_trusted_with_it(
    cast: Cast, provider: str, settings: Any
) -> None:
    settings.OIDC_PROVIDERS = [{**settings.OIDC_PROVIDERS[0], "match_addresses": False}]
    alice = cast.people["alice"]
    browser, _ = sign_on(provider, "eve", email=alice.email, email_verified=True, groups=["gpu"])
    assert browser.session.get("_auth_user_id") != str(alice.pk)


def test_an_address_never_opens_an_account_of_platform_staff(cast: Cast, provider: str) -> None:
    olivia = cast.people["olivia"]
    browser, _ = sign_on(provider, "eve", email=olivia.email, email_verified=True, groups=["ops"])
    assert browser.session.get("_auth_user_id") != str(olivia.pk)


def test_the_sign_in_page_offers_it(cast: Cast, provider: str) -> None:
    assert "Sign in with Corp" in text_of(Client().get("/accounts/login/"))
