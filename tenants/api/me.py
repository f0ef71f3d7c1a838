"""GET /me: who am I to this API?"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from .. import access
from ..models import ApiKey, Membership, OperatorToken
from .documentation import example, operation
from .views import ANYONE, ApiView


class TenantRoleSerializer(serializers.Serializer[Any]):
    """A tenant that the caller reaches, and as what."""

    slug = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField(
        allow_null=True, help_text="The role of the person, or of the member whose key this is; null for service keys."
    )


class MeSerializer(serializers.Serializer[Any]):
    """The caller as the API sees them."""

    kind = serializers.ChoiceField(choices=["key", "operator", "person"])
    name = serializers.CharField(help_text="Name of the key or token, or the user name.")
    key_id = serializers.CharField(allow_null=True)
    scopes = serializers.ListField(
        child=serializers.CharField(), help_text="What a key may do; empty for people, whose role decides."
    )
    expires_at = serializers.DateTimeField(allow_null=True)
    may_change = serializers.BooleanField(help_text="False for platform support staff, who only look.")
    tenants = TenantRoleSerializer(many=True, help_text="Empty for operators, who reach every tenant.")


_EXAMPLE = {
    "kind": "key", "name": "Gateway", "key_id": "k5jq2v7ma3xw4rnd", "scopes": ["decide", "usage:write"], "expires_at": None,
    "may_change": True, "tenants": [{"slug": "acme", "name": "Acme Imaging", "role": None}],
}  # fmt: skip


class MeView(ApiView):
    """The caller."""

    needs = {"GET": ANYONE}

    @operation(
        "me",
        "Who am I?",
        answer=MeSerializer,
        tags=["Me"],
        of_tenant=False,
        examples=[example("A service key", _EXAMPLE)],
    )
    def get(self, request: Request) -> Response:
        """What this credential is and reaches. The cheapest call to try a key with."""
        caller = self.caller
        if caller.kind == "key":
            return Response(MeSerializer(_key(caller.slug or "", caller.key_id, sorted(caller.scopes))).data)
        if caller.is_operator:
            return Response(MeSerializer(_operator(caller)).data)
        return Response(MeSerializer(_person(caller)).data)


def _key(slug: str, key_id: str, scopes: list[str]) -> dict[str, Any]:
    tenant = access.tenant_by_slug(slug, only=slug)
    with access.tenant_scope(tenant):
        key = ApiKey.objects.select_related("membership").get(tenant=tenant, key_id=key_id)
        role = key.membership.role if key.membership else None
    return {
        "kind": "key",
        "name": key.name,
        "key_id": key_id,
        "scopes": scopes,
        "expires_at": key.expires_at,
        "may_change": True,
        "tenants": [{"slug": tenant.slug, "name": tenant.name, "role": role}],
    }


def _operator(caller: Any) -> dict[str, Any]:
    token = OperatorToken.objects.filter(token_id=caller.key_id).first() if caller.key_id else None
    return {
        "kind": "operator",
        "name": token.name if token else caller.user.username,
        "key_id": caller.key_id or None,
        "scopes": [],
        "expires_at": token.expires_at if token else None,
        "may_change": caller.may_change,
        "tenants": [],
    }


def _person(caller: Any) -> dict[str, Any]:
    memberships = (
        Membership.objects.select_related("tenant")
        .filter(user=caller.user, removed_at__isnull=True)
        .order_by("tenant__slug")
    )
    return {
        "kind": "person",
        "name": caller.user.username,
        "key_id": None,
        "scopes": [],
        "expires_at": None,
        "may_change": True,
        "tenants": [{"slug": each.tenant.slug, "name": each.tenant.name, "role": each.role} for each in memberships],
    }
