from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from metering.models import WebhookEndpoint
from metering.webhooks import secrets
from portal.people import second_factor
from tenants.credentials import sealing
from tests.tenants.cast import Cast


def sealed_things(cast: Cast) -> tuple[WebhookEndpoint, Authenticator]:
    endpoint = WebhookEndpoint.objects.create(
        tenant=cast.acme,
        url="https://example.org/hook",
        secret=secrets.seal("whsec_new"),
        previous_secret=secrets.seal("whsec_old"),
    )
    code = sealing.seal(second_factor.PURPOSE, "JBSWY3DP")
    factor = Authenticator.objects.create(
        user=cast.people["alice"], type=Authenticator.Type.TOTP, data={"secret": code}
    )
    return endpoint, factor


def test_afterwards_no_fallback_is_needed(cast: Cast, settings: Any) -> None:
    endpoint, factor = sealed_things(cast)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [django_settings.SECRET_KEY], "a-new-secret-key-for-this-test"
    out = StringIO()
    call_command("reseal_secrets", stdout=out)
    assert "1 webhook endpoints and 1 second factors" in out.getvalue()
    settings.SECRET_KEY_FALLBACKS = []
    endpoint.refresh_from_db()
    factor.refresh_from_db()
    assert [secrets.unseal(text) for text in (endpoint.secret, endpoint.previous_secret)] == ["whsec_new", "whsec_old"]
    assert second_factor.SecondFactorAdapter().decrypt(factor.data["secret"]) == "JBSWY3DP"


def test_what_no_key_opens_is_named_and_left_as_it_is(cast: Cast, settings: Any) -> None:
    endpoint, _ = sealed_things(cast)
    settings.SECRET_KEY = "a-key-without-its-fallback"
    errors = StringIO()
    with pytest.raises(CommandError, match="2 secrets cannot be read"):
        call_command("reseal_secrets", stdout=StringIO(), stderr=errors)
    assert f"webhook {endpoint.public_id} of acme" in errors.getvalue()
    before = endpoint.secret
    endpoint.refresh_from_db()
    assert endpoint.secret == before
