"""/tenants and /tenants/{slug}."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from .. import access, provisioning
from ..models import Tenant, TenantState, Tier, User
from ..models.tenant import CURRENCIES
from ..problems import invalid
from .documentation import example, operation, page_of
from .fields import StrictChoice, StrictEmail, StrictText, choices
from .serializers import PageQuery, StrictSerializer
from .views import ANYONE, OPERATOR, ApiView, TenantView

TAGS = ["Tenants"]


class TenantSerializer(serializers.ModelSerializer[Tenant]):
    """A tenant."""

    tier: serializers.SlugRelatedField[Tier] = serializers.SlugRelatedField(slug_field="slug", read_only=True)

    contact_email = serializers.CharField(help_text="Receives notices when no budget recipient is named; may be empty.")

    class Meta:
        model = Tenant
        fields = [
            "slug",
            "name",
            "state",
            "state_reason",
            "tier",
            "time_zone",
            "currency",
            "contact_email",
            "created_at",
        ]
        read_only_fields = fields


class TenantQuery(PageQuery):
    """Filters of the list of tenants."""

    state = StrictChoice(choices=TenantState.choices, required=False)
    tier = StrictText(required=False, max_length=40, help_text="Slug of a tier.")
    search = StrictText(required=False, max_length=80, help_text="Part of the slug or name.")
    ordering = StrictChoice(
        choices=choices(["slug", "-slug", "created_at", "-created_at"]), required=False, default="slug"
    )


class NewTenantSerializer(StrictSerializer):
    """A tenant to create."""

    slug = StrictText(max_length=40, help_text="Lower-case letters, digits and inner hyphens. It never changes.")
    name = StrictText(max_length=120)
    tier = StrictText(max_length=40, required=False, help_text="Slug of a tier; the default tier when left out.")
    time_zone = StrictText(
        max_length=64, required=False, default="UTC", help_text="IANA name. Months and days begin at its midnight."
    )
    currency = StrictChoice(choices=choices(CURRENCIES), required=False, default="USD")
    contact_email = StrictEmail(required=False, allow_blank=True, default="", max_length=254)
    owner = StrictText(max_length=150, required=False, help_text="User name of the first owner.")
    reason = StrictText(
        max_length=300, required=False, allow_blank=True, default="", help_text="Kept in the audit trail."
    )


class TenantChangeSerializer(StrictSerializer):
    """What may change; members that are left out stay."""

    name = StrictText(max_length=120, required=False)
    tier = StrictText(max_length=40, required=False)
    time_zone = StrictText(max_length=64, required=False, help_text="In force from the next billing period on.")
    contact_email = StrictEmail(required=False, allow_blank=True, max_length=254)
    state = StrictChoice(choices=TenantState.choices, required=False, help_text="`closed` is for good.")
    reason = StrictText(
        max_length=300,
        required=False,
        allow_blank=True,
        default="",
        help_text="Required to suspend or close; the tenant reads it.",
    )


_EXAMPLE = {
    "slug": "acme", "name": "Acme Imaging", "state": "active", "state_reason": "", "tier": "standard", "time_zone": "Europe/Zurich",
    "currency": "USD", "contact_email": "ops@acme.example", "created_at": "2026-07-01T08:00:00Z",
}  # fmt: skip


class TenantsView(ApiView):
    """All tenants that the caller reaches."""

    needs = {"GET": ANYONE, "POST": OPERATOR}
    queries = {"GET": TenantQuery}

    @operation(
        "tenants_list", "List tenants", query=TenantQuery, answer=page_of(TenantSerializer), tags=TAGS, of_tenant=False,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """A key sees its own tenant, a person those they are a member of, an operator all."""
        query = self.params
        rows = self._reachable().order_by(query["ordering"])
        for name in ("state", "tier"):
            if name in query:
                rows = rows.filter(**{"tier__slug" if name == "tier" else name: query[name]})
        if "search" in query:
            rows = rows.filter(Q(slug__icontains=query["search"]) | Q(name__icontains=query["search"]))
        return self.page(rows, TenantSerializer)

    @operation(
        "tenants_create", "Create a tenant", request=NewTenantSerializer, answer=TenantSerializer, status=201, tags=TAGS,
        of_tenant=False, problems=["operator_required", "conflict"],
        examples=[
            example("A hospital", {"slug": "initech", "name": "Initech Imaging", "tier": "standard", "time_zone": "Europe/Zurich"}, request=True),
            example("Created", _EXAMPLE, status=201),
        ],
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        """For operators. The tenant is served at once; make its first API key with `POST …/api-keys`."""
        values = self.body(NewTenantSerializer)
        owner = _user(values.pop("owner")) if "owner" in values else None
        tier = provisioning.tier_by_slug(values.pop("tier")) if "tier" in values else None
        tenant = provisioning.create_tenant(**values, tier=tier, owner=owner, actor=self.caller.actor)
        location = reverse("api:tenant", args=[tenant.slug], request=request)
        return Response(TenantSerializer(tenant).data, status=201, headers={"Location": location})

    def _reachable(self) -> QuerySet[Tenant]:
        caller = self.caller
        if caller.is_operator:
            return Tenant.objects.select_related("tier")
        if caller.kind == "key":
            return Tenant.objects.select_related("tier").filter(slug=caller.slug)
        return access.tenants_of(caller.user) if caller.user else Tenant.objects.none()


class OneTenantView(TenantView):
    """One tenant."""

    needs = {"GET": ANYONE, "PATCH": OPERATOR}

    @operation(
        "tenants_retrieve",
        "Read a tenant",
        answer=TenantSerializer,
        tags=TAGS,
        examples=[example("A tenant", _EXAMPLE)],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The tenant. One that is not yours answers exactly like one that does not exist."""
        return Response(TenantSerializer(self.tenant).data)

    @operation(
        "tenants_update", "Change a tenant", request=TenantChangeSerializer, answer=TenantSerializer, tags=TAGS,
        problems=["operator_required", "conflict"],
        examples=[
            example("Move to another tier", {"tier": "scale", "reason": "Contract of July"}, request=True),
            example("Suspend", {"state": "suspended", "reason": "Invoice 2026-06 is unpaid"}, request=True),
        ],
    )  # fmt: skip
    def patch(self, request: Request, slug: str) -> Response:
        """For operators: details, tier and state. In force on the tenant's next call."""
        values = self.body(TenantChangeSerializer, partial=True)
        who = {"actor": self.caller.actor, "reason": values.pop("reason", "")}
        if not values:
            raise invalid("", "Say what to change.", "required")
        tier = provisioning.tier_by_slug(values.pop("tier")) if "tier" in values else None
        state = values.pop("state", None)
        with transaction.atomic():
            if values:
                provisioning.update(self.tenant, values, **who)
            if tier is not None:
                provisioning.change_tier(self.tenant, tier, **who)
            if state is not None and state != self.tenant.state:
                _STATES[state](self.tenant, **who)
        return Response(TenantSerializer(self.tenant).data)


_STATES = {
    TenantState.ACTIVE: provisioning.resume,
    TenantState.SUSPENDED: provisioning.suspend,
    TenantState.CLOSED: provisioning.close,
}


def _user(username: str) -> User:
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise invalid("owner", "There is no active user of that name.", "unknown")
    return user
