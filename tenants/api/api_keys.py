"""/tenants/{slug}/api-keys: list, create (the text is shown once), revoke, rotate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from ..credentials import apikeys
from ..models import ApiKey, Membership, Role
from ..models.apikey import Scope
from ..problems import ProblemError, invalid
from .documentation import example, operation, page_of
from .fields import StrictChoice, StrictInstant, StrictInteger, StrictList, StrictText, choices
from .serializers import PageQuery, StrictSerializer
from .views import TenantView

TAGS = ["API keys"]
ACTIVE, EXPIRED, REVOKED = "active", "expired", "revoked"
ORDERINGS = {"created_at": "created_at", "name": "name", "last_used_at": "last_used_at", "expires_at": "expires_at"}


class ApiKeySerializer(serializers.Serializer[ApiKey]):
    """An API key, without its secret."""

    id = serializers.CharField(source="key_id")
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))
    member = serializers.SerializerMethodField(
        help_text="User name of the member whose key it is; null for a service key."
    )
    state = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    created_by = serializers.SerializerMethodField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)

    def get_member(self, key: ApiKey) -> str | None:
        return key.membership.user.username if key.membership else None

    def get_created_by(self, key: ApiKey) -> str | None:
        return key.created_by.username if key.created_by else None

    def get_state(self, key: ApiKey) -> str:
        if key.revoked_at is not None:
            return REVOKED
        return ACTIVE if key.is_usable(timezone.now()) else EXPIRED


class IssuedKeySerializer(ApiKeySerializer):
    """A new key, with its text for this one time."""

    key = serializers.CharField(
        allow_null=True, help_text="Keep it now: it is not stored and cannot be shown again; null in a replayed answer."
    )


class ApiKeyQuery(PageQuery):
    """Filters of the list of keys."""

    state = StrictChoice(choices=choices([ACTIVE, EXPIRED, REVOKED]), required=False)
    ordering = StrictChoice(
        choices=choices([sign + name for name in ORDERINGS for sign in ("", "-")]),
        required=False,
        default="-created_at",
    )


class NewKeySerializer(StrictSerializer):
    """A key to create; give `scopes` or `preset`."""

    name = StrictText(max_length=80)
    scopes = StrictList(child=StrictChoice(choices=Scope.choices), required=False, min_length=1, max_length=20)
    preset = StrictChoice(
        choices=choices(apikeys.PRESETS),
        required=False,
        help_text="`service`: decide and send usage. `read`: read all. `admin`: all.",
    )
    member = StrictText(
        max_length=150, required=False, help_text="User name of the member whose key it is. Left out: a service key."
    )
    expires_at = StrictInstant(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("scopes" in attrs) == ("preset" in attrs):
            raise invalid("scopes", "Give either `scopes` or `preset`.", "required")
        return attrs


class RotationSerializer(StrictSerializer):
    """How to replace a key."""

    overlap_seconds = StrictInteger(
        required=False, min_value=0, max_value=int(apikeys.LONGEST_OVERLAP.total_seconds()),
        default=int(apikeys.OVERLAP.total_seconds()), help_text="How long the old key still works.",
    )  # fmt: skip


_EXAMPLE = {
    "id": "k5jq2v7ma3xw4rnd", "name": "Gateway", "scopes": ["decide", "usage:write"], "member": None, "state": "active",
    "created_at": "2026-07-01T08:00:00Z", "created_by": "alice", "expires_at": None, "revoked_at": None, "last_used_at": None,
}  # fmt: skip
_ISSUED = {**_EXAMPLE, "key": "gpk_live_acme_k5jq2v7ma3xw4rnd_" + "•" * 43}


class _Keys(TenantView):
    """Who sees and makes which keys: owners, admins and keys with the scope all; everybody else their own."""

    def require_scope(self, scope: str) -> None:
        if self.caller.kind != "person":
            super().require_scope(scope)

    @property
    def only_own(self) -> bool:
        return self.membership is not None and self.membership.role not in (Role.OWNER, Role.ADMIN)

    def visible(self) -> QuerySet[ApiKey]:
        keys = ApiKey.objects.select_related("membership__user", "created_by").filter(tenant=self.tenant)
        return keys.filter(membership=self.membership) if self.only_own else keys

    def find(self, key_id: str) -> ApiKey:
        key = self.visible().filter(key_id=key_id).first()
        if key is None:
            raise ProblemError("not_found")
        return key

    def issued(self, request: Request, issued: apikeys.IssuedKey) -> Response:
        """201 with the text. What a retry with the same Idempotency-Key gets is kept without it."""
        shown = dict(ApiKeySerializer(issued.key).data)
        location = reverse("api:api-key", args=[self.tenant.slug, issued.key.key_id], request=request)
        response = Response(
            shown | {"key": issued.text}, status=201, headers={"Location": location, "Cache-Control": "no-store"}
        )
        response.kept_data = shown | {"key": None}  # type: ignore[attr-defined]
        return response


class ApiKeysView(_Keys):
    """The tenant's keys."""

    needs = {"GET": Scope.KEYS_READ, "POST": Scope.KEYS_WRITE}
    queries = {"GET": ApiKeyQuery}

    @operation(
        "api_keys_list", "List API keys", query=ApiKeyQuery, answer=page_of(ApiKeySerializer), tags=TAGS,
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """Newest first. Secrets are never shown."""
        query = self.params
        rows = self.visible().order_by(query["ordering"], "pk")
        expired = Q(expires_at__lte=timezone.now())
        if query.get("state") == REVOKED:
            rows = rows.filter(revoked_at__isnull=False)
        elif query.get("state") == EXPIRED:
            rows = rows.filter(expired, revoked_at__isnull=True)
        elif query.get("state") == ACTIVE:
            rows = rows.filter(~expired | Q(expires_at__isnull=True), revoked_at__isnull=True)
        return self.page(rows, ApiKeySerializer)

    @operation(
        "api_keys_create", "Create an API key", request=NewKeySerializer, answer=IssuedKeySerializer, status=201, tags=TAGS,
        problems=["conflict"],
        examples=[
            example("For a service", {"name": "Gateway", "preset": "service"}, request=True),
            example("For a person", {"name": "Notebook", "scopes": ["usage:read"], "member": "bob"}, request=True),
            example("Created", _ISSUED, status=201),
        ],
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """The text in `key` is shown this once. Nobody gives scopes that they do not have."""
        values = self.body(NewKeySerializer)
        by = self.acting_membership()
        member = _member(self.tenant.pk, values["member"]) if "member" in values else by if self.only_own else None
        issued = apikeys.create(
            self.tenant,
            name=values["name"],
            scopes=values.get("scopes") or apikeys.PRESETS[values["preset"]],
            by=by,
            member=member,
            expires_at=values.get("expires_at"),
            held=self.held_scopes(),
            actor=self.caller.actor,
            created_by=self.caller.user,
        )
        return self.issued(request, issued)


class ApiKeyView(_Keys):
    """One key."""

    needs = {"GET": Scope.KEYS_READ, "DELETE": Scope.KEYS_WRITE}

    @operation(
        "api_keys_retrieve",
        "Read an API key",
        answer=ApiKeySerializer,
        tags=TAGS,
        examples=[example("A service key", _EXAMPLE)],
    )
    def get(self, request: Request, slug: str, key_id: str) -> Response:
        """The key, without its secret."""
        return Response(ApiKeySerializer(self.find(key_id)).data)

    @operation("api_keys_revoke", "Revoke an API key", status=204, tags=TAGS)
    def delete(self, request: Request, slug: str, key_id: str) -> Response:
        """Calls with it are refused from the next one on. Revoking twice is no error."""
        apikeys.revoke(self.find(key_id), by=self.acting_membership(), actor=self.caller.actor)
        return Response(status=204)


class ApiKeyRotationView(_Keys):
    """Replacing one key."""

    needs = {"POST": Scope.KEYS_WRITE}

    @operation(
        "api_keys_rotate", "Rotate an API key", request=RotationSerializer, answer=IssuedKeySerializer, status=201, tags=TAGS,
        problems=["conflict"],
        examples=[example("One hour of overlap", {"overlap_seconds": 3600}, request=True), example("The successor", _ISSUED, status=201)],
    )  # fmt: skip
    def post(self, request: Request, slug: str, key_id: str) -> Response:
        """A successor with the same name, scopes and rate-limit windows; the old key works a while longer."""
        values = self.body(RotationSerializer)
        issued = apikeys.rotate(
            self.find(key_id),
            by=self.acting_membership(),
            overlap=timedelta(seconds=values["overlap_seconds"]),
            held=self.held_scopes(),
            actor=self.caller.actor,
            created_by=self.caller.user,
        )
        return self.issued(request, issued)


def _member(tenant_id: int, username: str) -> Membership:
    found = (
        Membership.objects.select_related("user")
        .filter(tenant=tenant_id, user__username=username, removed_at__isnull=True)
        .first()
    )
    if found is None:
        raise invalid("member", "There is no such member.", "unknown")
    return found
