from __future__ import annotations

import re

from django.urls import reverse

from tenants.models import ApiKey, AuditEntry, OperatorToken
from tests.tenants.cast import Cast

from .conftest import Browse, text_of


def test_an_api_key(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    url = reverse("admin:tenants_tenant_new_key", args=[cast.acme.pk])
    answer = olivia.post(
        url, {"confirmed": "1", "name": "gateway", "preset": "service", "member": "", "reason": "new gateway"}
    )
    found = re.search(r"gpk_test_acme_[a-z2-7]{16}_[\w-]{43}", text_of(answer))
    assert found
    assert "no-store" in answer["Cache-Control"]
    key = ApiKey.objects.get(name="gateway")
    assert (key.created_by, AuditEntry.objects.get(table_name="tenants_apikey").reason) == (
        cast.people["olivia"],
        "new gateway",
    )
    secret = found[0].split("_", 4)[4]
    for page in (
        reverse("admin:tenants_apikey_changelist"),
        reverse("admin:tenants_apikey_change", args=[key.pk]),
        f"{reverse('admin:tenants_apikey_changelist')}?tenant__id__exact={cast.acme.pk}",
        reverse("admin:tenants_auditentry_changelist"),
        reverse("admin:tenants_auditentry_change", args=[AuditEntry.objects.get(table_name="tenants_apikey").pk]),
    ):
        text = text_of(olivia.get(page))
        assert "gateway" in text
        assert secret not in text
        assert key.digest not in text


def test_an_operator_token(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    values = {"confirmed": "1", "user": cast.people["olivia"].pk, "name": "ci", "reason": "deploys"}
    answer = olivia.post(reverse("admin:tenants_operatortoken_add"), values)
    found = re.search(r"gpo_test_[a-z2-7]{16}_[\w-]{43}", text_of(answer))
    assert found
    token = OperatorToken.objects.get(name="ci")
    for page in (
        reverse("admin:tenants_operatortoken_changelist"),
        reverse("admin:tenants_operatortoken_change", args=[token.pk]),
    ):
        text = text_of(olivia.get(page))
        assert token.token_id in text
        assert found[0].split("_", 3)[3] not in text
        assert token.digest not in text


def test_nobody_makes_a_token_in_a_colleagues_name(cast: Cast, browse: Browse) -> None:
    values = {"confirmed": "1", "user": cast.people["root"].pk, "name": "sneaky", "reason": "x"}
    answer = browse("olivia").post(reverse("admin:tenants_operatortoken_add"), values)
    assert "form" in answer.context
    assert not OperatorToken.objects.exists()


def test_a_members_key_needs_a_role_that_allows_it(cast: Cast, browse: Browse) -> None:
    url = reverse("admin:tenants_tenant_new_key", args=[cast.acme.pk])
    values = {"confirmed": "1", "name": "k", "preset": "admin", "member": cast.membership("bob").pk, "reason": "x"}
    answer = browse("olivia").post(url, values)
    assert "role does not allow" in text_of(answer)
    assert not ApiKey.objects.exists()


def test_a_key_is_never_for_another_tenants_member(cast: Cast, browse: Browse) -> None:
    url = reverse("admin:tenants_tenant_new_key", args=[cast.acme.pk])
    values = {"confirmed": "1", "name": "k", "preset": "read", "member": cast.membership("mallory").pk, "reason": "x"}
    assert browse("olivia").post(url, values).status_code == 200
    assert not ApiKey.objects.exists()
