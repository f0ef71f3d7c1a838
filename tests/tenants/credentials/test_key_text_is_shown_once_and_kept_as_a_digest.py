from __future__ import annotations

import re

import pytest
from django.conf import settings

from tenants.credentials import apikeys, operator_tokens
from tenants.enforcement.protocol import keys
from tenants.models import ApiKey, AuditEntry
from tenants.problems import Denied
from tests.tenants.cast import Cast


def test_text_has_the_form_that_enforcement_reads(cast: Cast) -> None:
    issued = apikeys.create(cast.acme, name="Gateway", scopes=["decide"], by=None, actor="system:test")
    assert re.fullmatch(r"gpk_test_acme_[a-z2-7]{16}_[A-Za-z0-9_-]{43}", issued.text)
    credential = keys.parse(issued.text.encode(), settings.API_KEY_PEPPER.encode())
    assert credential is not None
    assert (credential.slug, credential.key_id, credential.digest.hex()) == (
        "acme",
        issued.key.key_id,
        issued.key.digest,
    )


def test_the_secret_is_nowhere_in_the_database(cast: Cast) -> None:
    issued = apikeys.create(cast.acme, name="Gateway", scopes=["decide"], by=None, actor="system:test")
    secret = issued.text.split("_", 4)[4]
    row = ApiKey.objects.filter(pk=issued.key.pk).values().get()
    trail = AuditEntry.objects.filter(table_name="tenants_apikey").values()
    assert secret not in str(row) + str(list(trail))
    assert issued.key.digest not in str(list(trail))


def test_two_keys_differ_in_id_and_secret(cast: Cast) -> None:
    one, other = (
        apikeys.create(cast.acme, name="A", scopes=["decide"], by=None, actor="system:test").text for _ in range(2)
    )
    assert one.split("_", 4)[3] != other.split("_", 4)[3]
    assert one.split("_", 4)[4] != other.split("_", 4)[4]


def test_an_operator_token_is_made_for_active_staff(cast: Cast) -> None:
    issued = operator_tokens.create(cast.people["olivia"], name="CI", actor="user:olivia")
    assert re.fullmatch(r"gpo_test_[a-z2-7]{16}_[A-Za-z0-9_-]{43}", issued.text)
    credential = keys.parse(issued.text.encode(), settings.API_KEY_PEPPER.encode())
    assert credential is not None
    assert (credential.slug, credential.key_id) == (keys.PLATFORM, issued.token.token_id)
    with pytest.raises(Denied):
        operator_tokens.create(cast.people["alice"], name="CI", actor="user:alice")
