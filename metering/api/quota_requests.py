"""/tenants/{slug}/quota-requests: asking for higher limits, and deciding it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.documentation import example, operation, page_of
from tenants.api.fields import PlainNumber, StrictChoice, StrictDecimal, StrictInstant, StrictText, choices
from tenants.api.serializers import PageQuery, StrictSerializer
from tenants.api.views import OPERATOR, TenantView
from tenants.limiting import quota_requests
from tenants.models import LimitKind, QuotaRequest, QuotaRequestState, User
from tenants.models.apikey import Scope
from tenants.problems import ProblemError

TAGS = ["Quota requests"]
_AMOUNT: dict[str, Any] = {"max_digits": 20, "decimal_places": 6, "min_value": Decimal(0)}


class AskSerializer(StrictSerializer):
    """What is asked for."""

    kind = StrictChoice(choices=choices(LimitKind.values), default=LimitKind.QUOTA.value)
    name = StrictText(max_length=40, help_text="A meter (`gpu_hours`) or, for a rate limit, a window (`minute`).")
    asked = StrictDecimal(
        **_AMOUNT, help_text="The new limit, above the present one: the meter's units, or calls per user."
    )
    justification = StrictText(max_length=quota_requests.LONGEST_JUSTIFICATION, multiline=True)
    valid_until = StrictInstant(
        required=False, allow_null=True, default=None, help_text="A boost until then; null for good."
    )


class ApproveSerializer(StrictSerializer):
    """What is granted."""

    granted = StrictDecimal(**_AMOUNT, required=False, help_text="A part of what was asked; left out: all of it.")
    valid_until = StrictInstant(
        required=False, allow_null=True, help_text="Ends by itself; null for good; left out: as it was asked."
    )
    reason = StrictText(
        max_length=quota_requests.LONGEST_REASON, required=False, default="", allow_blank=True,
        help_text="The requester reads it. Needed when only a part is granted.",
    )  # fmt: skip


class DenySerializer(StrictSerializer):
    """Why not."""

    reason = StrictText(max_length=quota_requests.LONGEST_REASON, help_text="The requester reads it.")


class QuotaRequestQuery(PageQuery):
    """Which requests."""

    state = StrictChoice(choices=choices(QuotaRequestState.values), required=False)


class QuotaRequestSerializer(serializers.Serializer[Any]):
    """A request and what became of it. Amounts are in the meter's unit, or calls per user."""

    id = serializers.UUIDField(source="public_id")
    kind = serializers.ChoiceField(choices=choices(LimitKind.values))
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=choices(QuotaRequestState.values))
    asked = PlainNumber()
    limit_then = PlainNumber(allow_null=True, help_text="The limit when it was asked.")
    valid_until = serializers.DateTimeField(allow_null=True, help_text="Until when it was asked for; null for good.")
    justification = serializers.CharField()
    requested_by = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    granted = PlainNumber(allow_null=True)
    granted_until = serializers.SerializerMethodField()
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_reason = serializers.CharField()
    by_rule = serializers.SerializerMethodField()

    def get_requested_by(self, row: QuotaRequest) -> str | None:
        return row.requested_by.get_username() if row.requested_by else None

    def get_granted_until(self, row: QuotaRequest) -> str | None:
        ends = row.override.valid_until if row.override else None
        return serializers.DateTimeField().to_representation(ends) if ends else None

    def get_by_rule(self, row: QuotaRequest) -> bool:
        return row.by_rule_id is not None


_BODY = {
    "name": "gpu_hours", "asked": 150, "justification": "Training of the mammography model", "valid_until": "2026-08-31T22:00:00Z",
}  # fmt: skip
_ROW = {
    "id": "8e0f4c1a-5b1e-4d57-9c36-0a4a5f3c2f10", "kind": "quota", "name": "gpu_hours", "state": "pending", "asked": 150, "limit_then": 100,
    "valid_until": "2026-08-31T22:00:00Z", "justification": _BODY["justification"], "requested_by": "alice",
    "created_at": "2026-07-15T12:00:00Z", "granted": None, "granted_until": None, "decided_at": None, "decision_reason": "",
    "by_rule": False,
}  # fmt: skip
_GRANTED = {
    **_ROW, "state": "approved", "granted": 120, "granted_until": "2026-08-31T22:00:00Z", "decided_at": "2026-07-15T13:00:00Z",
    "decision_reason": "As many nodes as are free",
}  # fmt: skip
_DENIED = {**_ROW, "state": "denied", "decided_at": "2026-07-15T13:00:00Z", "decision_reason": "No nodes are free"}


class _Requests(TenantView):
    """What all of them share."""

    def find_tenant(self, **kwargs: Any) -> None:
        super().find_tenant(**kwargs)
        if "request_id" in kwargs:
            try:
                self.public_id = UUID(kwargs["request_id"])
            except ValueError:
                raise ProblemError("not_found") from None

    def rows(self) -> Any:
        return (
            QuotaRequest.objects.filter(tenant=self.tenant).select_related("requested_by", "override").order_by("-id")
        )

    def user(self) -> User | None:
        """Who is told what was decided: the person, or the member whose key it is."""
        if self.caller.kind == "key":
            member = self.acting_membership()
            return member.user if member else None
        return self.caller.user

    def shown(self, row: QuotaRequest, status: int = 200) -> Response:
        return Response(QuotaRequestSerializer(row).data, status=status)


class QuotaRequestsView(_Requests):
    """The tenant's requests."""

    needs = {"GET": Scope.QUOTA_READ, "POST": Scope.QUOTA_WRITE}
    queries = {"GET": QuotaRequestQuery}

    @operation(
        "quota_requests_list", "List requests for higher limits", query=QuotaRequestQuery, answer=page_of(QuotaRequestSerializer), tags=TAGS,
        examples=[example("One", {"count": 1, "next": None, "previous": None, "results": [_ROW]})],
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """All of them, newest first; `?state=pending` those that wait."""
        rows = self.rows()
        if "state" in self.params:
            rows = rows.filter(state=self.params["state"])
        return self.page(rows, QuotaRequestSerializer)

    @operation(
        "quota_requests_make", "Ask for a higher limit", request=AskSerializer, answer=QuotaRequestSerializer, status=201, tags=TAGS,
        problems=["conflict"], examples=[example("A boost", _BODY, request=True), example("Waiting", _ROW, status=201)],
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """For owners, admins and members. The platform's operators decide, or at once a rule of theirs: look at `state`.

        One request waits for each limit: the same one again answers the one that waits, another is a 409 `conflict` with its `id`. A grant
        with an end gives way by itself; a mail warns 7 days and 1 day before. The webhook `quota_request.decided` tells the decision.
        """
        row = quota_requests.request(
            self.tenant,
            quota_requests.Wish(**self.body(AskSerializer)),
            by=self.acting_membership(),
            actor=self.caller.actor,
            user=self.user(),
            now=timezone.now(),
        )
        response = self.shown(row, 201)
        response["Location"] = f"/api/v1/tenants/{slug}/quota-requests/{row.public_id}"
        return response


class QuotaRequestView(_Requests):
    """One request."""

    needs = {"GET": Scope.QUOTA_READ, "DELETE": Scope.QUOTA_WRITE}

    @operation(
        "quota_requests_retrieve", "Read a request", answer=QuotaRequestSerializer, tags=TAGS, examples=[example("Granted in part", _GRANTED)]
    )  # fmt: skip
    def get(self, request: Request, slug: str, request_id: str) -> Response:
        """As it stands now."""
        row = self.rows().filter(public_id=self.public_id).first()
        if row is None:
            raise ProblemError("not_found")
        return self.shown(row)

    @operation(
        "quota_requests_withdraw", "Withdraw a request", answer=QuotaRequestSerializer, tags=TAGS, writes=True, problems=["conflict"],
        examples=[example("Withdrawn", {**_ROW, "state": "withdrawn", "decided_at": "2026-07-15T12:30:00Z"})],
    )  # fmt: skip
    def delete(self, request: Request, slug: str, request_id: str) -> Response:
        """While it waits. Members withdraw their own, owners and admins every one. Withdrawing again changes nothing."""
        row = quota_requests.withdraw(
            self.tenant, self.public_id, by=self.acting_membership(), actor=self.caller.actor, now=timezone.now()
        )
        return self.shown(row)


class QuotaApproveView(_Requests):
    """Granting a request."""

    needs = {"POST": OPERATOR}

    @operation(
        "quota_requests_approve", "Grant a request", request=ApproveSerializer, answer=QuotaRequestSerializer, tags=TAGS,
        problems=["operator_required", "conflict"],
        examples=[
            example("In part", {"granted": 120, "reason": "As many nodes as are free"}, request=True), example("Granted", _GRANTED),
        ],
    )  # fmt: skip
    def post(self, request: Request, slug: str, request_id: str) -> Response:
        """For operators. An override is set that names the request: in force on the next call. The same grant again changes nothing; a
        request that was decided otherwise is a 409 `conflict` with its `state`.
        """
        values = self.body(ApproveSerializer)
        row = self.rows().filter(public_id=self.public_id).first()
        if row is None:
            raise ProblemError("not_found")
        row = quota_requests.approve(
            self.tenant,
            self.public_id,
            granted=values.get("granted"),
            valid_until=values.get("valid_until", row.valid_until),
            reason=values["reason"],
            actor=self.caller.actor,
            decided_by=self.caller.user,
            now=timezone.now(),
        )
        return self.shown(row)


class QuotaDenyView(_Requests):
    """Saying no."""

    needs = {"POST": OPERATOR}

    @operation(
        "quota_requests_deny", "Deny a request", request=DenySerializer, answer=QuotaRequestSerializer, tags=TAGS,
        problems=["operator_required", "conflict"],
        examples=[example("Why", {"reason": "No nodes are free"}, request=True), example("Denied", _DENIED)],
    )  # fmt: skip
    def post(self, request: Request, slug: str, request_id: str) -> Response:
        """For operators. The requester is told the reason. Denying again changes nothing."""
        row = quota_requests.deny(
            self.tenant,
            self.public_id,
            reason=self.body(DenySerializer)["reason"],
            actor=self.caller.actor,
            decided_by=self.caller.user,
            now=timezone.now(),
        )
        return self.shown(row)
