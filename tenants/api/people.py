"""/tenants/{slug}/members and /tenants/{slug}/audit: who belongs to the tenant, and who changed what."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import AuditEntry, Membership, Role
from ..models.apikey import Scope
from .documentation import operation, page_of
from .fields import StrictChoice, StrictInstant, StrictText
from .serializers import PageQuery
from .views import TenantView


class MemberSerializer(serializers.Serializer[Membership]):
    """A person of the tenant."""

    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.get_full_name")
    email = serializers.CharField(source="user.email")
    role = serializers.ChoiceField(choices=Role.choices)
    subject = serializers.CharField(help_text="Rate-limit identity: the first half of this member's key ids.")
    since = serializers.DateTimeField(source="created_at")


class MemberQuery(PageQuery):
    """Filters of the list of members."""

    role = StrictChoice(choices=Role.choices, required=False)


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    """One change of one row. Secrets are hidden; `hash` chains the entries of a tenant."""

    table = serializers.CharField(source="table_name")
    row = serializers.CharField(source="row_id")
    old = serializers.JSONField(allow_null=True)
    new = serializers.JSONField(allow_null=True)

    class Meta:
        model = AuditEntry
        fields = ["id", "at", "actor", "reason", "operation", "table", "row", "old", "new", "previous_hash", "hash"]
        read_only_fields = fields


class AuditQuery(PageQuery):
    """Filters of the audit trail."""

    actor = StrictText(required=False, max_length=160, help_text="Exactly as in the entries, such as user:alice.")
    table = StrictText(required=False, max_length=63)
    row = StrictText(required=False, max_length=80)
    since = StrictInstant(required=False, help_text="From this instant on.")
    until = StrictInstant(required=False, help_text="Before this instant.")

    FILTERS = {"actor": "actor", "table": "table_name", "row": "row_id", "since": "at__gte", "until": "at__lt"}


class MembersView(TenantView):
    """The people of the tenant."""

    needs = {"GET": Scope.KEYS_READ}
    queries = {"GET": MemberQuery}

    @operation("members_list", "List members", query=MemberQuery, answer=page_of(MemberSerializer), tags=["People"])
    def get(self, request: Request, slug: str) -> Response:
        """Everybody who belongs to the tenant now. For owners, admins and keys with keys:read."""
        query = self.params
        rows = (
            Membership.objects.select_related("user").filter(tenant=self.tenant, removed_at__isnull=True).order_by("pk")
        )
        if "role" in query:
            rows = rows.filter(role=query["role"])
        return self.page(rows, MemberSerializer)


class AuditView(TenantView):
    """The trail of changes."""

    needs = {"GET": Scope.KEYS_READ}
    queries = {"GET": AuditQuery}

    @operation(
        "audit_list", "Read the audit trail", query=AuditQuery, answer=page_of(AuditEntrySerializer), tags=["People"]
    )
    def get(self, request: Request, slug: str) -> Response:
        """Who changed what, when and why; newest first. For owners, admins and keys with keys:read. Nothing is ever edited."""
        query = self.params
        rows = AuditEntry.objects.filter(tenant=self.tenant).order_by("-id")
        rows = rows.filter(**{column: query[name] for name, column in AuditQuery.FILTERS.items() if name in query})
        return self.page(rows, AuditEntrySerializer)
