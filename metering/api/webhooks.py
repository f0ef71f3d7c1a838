"""/tenants/{slug}/webhooks: endpoints that are told of events, their secrets (shown once), tests, the log, and sending again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from tenants.api.documentation import example, operation, page_of
from tenants.api.fields import StrictBoolean, StrictChoice, StrictList, StrictText, choices
from tenants.api.serializers import PageQuery, StrictSerializer
from tenants.api.views import TenantView
from tenants.models.apikey import Scope
from tenants.problems import Conflict, ProblemError, invalid

from ..models import DeliveryState, WebhookDelivery, WebhookEndpoint
from ..webhooks import delivery, endpoints
from ..webhooks.events import EVENTS

TAGS = ["Webhooks"]


class WebhookSerializer(serializers.Serializer[Any]):
    """An endpoint, without its secret."""

    id = serializers.CharField(source="public_id")
    url = serializers.CharField()
    description = serializers.CharField()
    event_types = serializers.ListField(child=serializers.CharField(), help_text="Empty: every event.")
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    old_secret_until = serializers.DateTimeField(
        source="previous_until",
        allow_null=True,
        help_text="After a rotation: messages carry both signatures until then.",
    )


class IssuedWebhookSerializer(WebhookSerializer):
    """An endpoint with its secret, for this one time."""

    secret = serializers.CharField(
        allow_null=True, help_text="Keep it now: it is not shown again; null in a replayed answer."
    )


class WebhookListSerializer(serializers.Serializer[Any]):
    """The tenant's endpoints."""

    webhooks = WebhookSerializer(many=True)


class NewWebhookSerializer(StrictSerializer):
    """An endpoint to make."""

    url = StrictText(max_length=500, help_text="https, on the public internet.")
    event_types = StrictList(
        child=StrictChoice(choices=choices(EVENTS)),
        required=False,
        default=list,
        max_length=50,
        help_text="Empty: every event.",
    )
    description = StrictText(max_length=120, required=False, allow_blank=True, default="")


class WebhookChangeSerializer(StrictSerializer):
    """What to change; the rest stays."""

    url = StrictText(max_length=500, required=False)
    event_types = StrictList(child=StrictChoice(choices=choices(EVENTS)), required=False, max_length=50)
    description = StrictText(max_length=120, required=False, allow_blank=True)
    is_active = StrictBoolean(required=False, help_text="false: nothing is owed to it any more.")


class DeliverySerializer(serializers.Serializer[Any]):
    """A message and what became of it. `request` and `response` are excerpts."""

    id = serializers.CharField(source="public_id")
    message_id = serializers.CharField(help_text="The header webhook-id; the same for every attempt.")
    event_type = serializers.CharField()
    state = serializers.ChoiceField(choices=DeliveryState.choices)
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    next_attempt_at = serializers.SerializerMethodField(help_text="null when nothing is tried any more.")
    request = serializers.SerializerMethodField()
    response_status = serializers.IntegerField(allow_null=True)
    response = serializers.CharField(source="response_excerpt")
    error = serializers.CharField(source="last_error")

    def get_next_attempt_at(self, row: WebhookDelivery) -> str | None:
        waiting = row.state in (DeliveryState.PENDING, DeliveryState.SENDING)
        return row.next_attempt_at.isoformat() if waiting else None

    def get_request(self, row: WebhookDelivery) -> str:
        return row.body[:2000]


_ENDPOINT = {
    "id": "0b6f7f1e-6f0f-4b53-8f0f-0b9f9f6f2f10", "url": "https://hooks.acme.example/portal", "description": "Pager",
    "event_types": ["budget.threshold", "tenant.blocked"], "is_active": True, "created_at": "2026-07-01T08:00:00Z", "old_secret_until": None,
}  # fmt: skip
_DELIVERY = {
    "id": "5f0c3c1e-7c50-4e07-a7b9-3f1f20f3a1aa", "message_id": "budget-alert-12", "event_type": "budget.threshold", "state": "pending",
    "attempts": 1, "created_at": "2026-07-14T16:20:00Z", "next_attempt_at": "2026-07-14T16:20:05Z",
    "request": '{"type": "budget.threshold", "timestamp": "2026-07-14T16:20:00+00:00", "data": {"tenant": "acme", "percent": 80}}',
    "response_status": 500, "response": "oops", "error": "The receiver answered 500.",
}  # fmt: skip
_ISSUED = {**_ENDPOINT, "secret": "whsec_" + "•" * 44}


class _Webhooks(TenantView):
    """Finding endpoints of the tenant."""

    def find(self, webhook_id: str) -> WebhookEndpoint:
        found = WebhookEndpoint.objects.filter(tenant=self.tenant, public_id=_uuid(webhook_id)).first()
        if found is None:
            raise ProblemError("not_found")
        found.tenant = self.tenant
        return found

    def issued(self, endpoint: WebhookEndpoint, secret: str, **options: Any) -> Response:
        """With the secret. What a retry with the same Idempotency-Key gets is kept without it."""
        shown = dict(WebhookSerializer(endpoint).data)
        headers = {"Cache-Control": "no-store", **options.pop("headers", {})}
        response = Response(shown | {"secret": secret}, headers=headers, **options)
        response.kept_data = shown | {"secret": None}  # type: ignore[attr-defined]
        return response


class WebhooksView(_Webhooks):
    """The tenant's endpoints."""

    needs = {"GET": Scope.WEBHOOKS_READ, "POST": Scope.WEBHOOKS_WRITE}

    @operation(
        "webhooks_list", "List webhook endpoints", answer=WebhookListSerializer, tags=TAGS,
        examples=[example("One", {"webhooks": [_ENDPOINT]})],
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """All of them (at most 20 are active), oldest first, without secrets."""
        rows = WebhookEndpoint.objects.filter(tenant=self.tenant).order_by("pk")
        return Response(WebhookListSerializer({"webhooks": rows}).data)

    @operation(
        "webhooks_create", "Make a webhook endpoint", request=NewWebhookSerializer, answer=IssuedWebhookSerializer, status=201,
        tags=TAGS,
        examples=[
            example("Two events", {"url": "https://hooks.acme.example/portal", "event_types": ["budget.threshold"]}, request=True),
            example("Made", _ISSUED, status=201),
        ],
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """The signing secret is shown this once. Messages follow the Standard Webhooks scheme."""
        values = self.body(NewWebhookSerializer)
        try:
            endpoint, secret = endpoints.create(
                self.tenant, values["url"], values["event_types"], values["description"], self.caller.actor
            )
        except endpoints.EndpointError as error:
            raise invalid("url", str(error)) from error
        location = reverse("api:webhook", args=[self.tenant.slug, endpoint.public_id], request=request)
        return self.issued(endpoint, secret, status=201, headers={"Location": location})


class WebhookView(_Webhooks):
    """One endpoint."""

    needs = {"GET": Scope.WEBHOOKS_READ, "PATCH": Scope.WEBHOOKS_WRITE, "DELETE": Scope.WEBHOOKS_WRITE}

    @operation(
        "webhooks_retrieve",
        "Read a webhook endpoint",
        answer=WebhookSerializer,
        tags=TAGS,
        examples=[example("One", _ENDPOINT)],
    )
    def get(self, request: Request, slug: str, webhook_id: str) -> Response:
        """The endpoint, without its secret."""
        return Response(WebhookSerializer(self.find(webhook_id)).data)

    @operation(
        "webhooks_update", "Change a webhook endpoint", request=WebhookChangeSerializer, answer=WebhookSerializer, tags=TAGS,
        examples=[example("Switch it off", {"is_active": False}, request=True)],
    )  # fmt: skip
    def patch(self, request: Request, slug: str, webhook_id: str) -> Response:
        """Only what is sent changes."""
        values, endpoint = self.body(WebhookChangeSerializer), self.find(webhook_id)
        try:
            endpoints.update(
                endpoint,
                values.get("url", endpoint.url),
                values.get("event_types", endpoint.event_types),
                values.get("is_active", endpoint.is_active),
                self.caller.actor,
                values.get("description", endpoint.description),
            )
        except endpoints.EndpointError as error:
            raise invalid("url", str(error)) from error
        return Response(WebhookSerializer(endpoint).data)

    @operation("webhooks_delete", "Remove a webhook endpoint", status=204, tags=TAGS)
    def delete(self, request: Request, slug: str, webhook_id: str) -> Response:
        """Its log goes with it, and what was still owed to it is not sent. To keep them, switch it off instead."""
        endpoints.remove(self.find(webhook_id), self.caller.actor)
        return Response(status=204)


class WebhookRotateView(_Webhooks):
    """A new secret."""

    needs = {"POST": Scope.WEBHOOKS_WRITE}

    @operation(
        "webhooks_rotate", "Rotate a webhook's secret", answer=IssuedWebhookSerializer, status=201, tags=TAGS,
        examples=[example("The new secret", _ISSUED, status=201)],
    )  # fmt: skip
    def post(self, request: Request, slug: str, webhook_id: str) -> Response:
        """For 24 hours messages are signed with the old one too, so that receivers can change over."""
        endpoint = self.find(webhook_id)
        return self.issued(endpoint, endpoints.rotate(endpoint, timezone.now(), self.caller.actor), status=201)


class WebhookTestView(_Webhooks):
    """A test message."""

    needs = {"POST": Scope.WEBHOOKS_WRITE}

    @operation(
        "webhooks_test", "Send a test message", answer=DeliverySerializer, status=201, tags=TAGS,
        examples=[example("Owed", _DELIVERY, status=201)],
    )  # fmt: skip
    def post(self, request: Request, slug: str, webhook_id: str) -> Response:
        """An `endpoint.test` event to this endpoint alone, within seconds; see the log for what came of it."""
        return Response(DeliverySerializer(delivery.send_test(self.find(webhook_id), timezone.now())).data, status=201)


class DeliveriesView(_Webhooks):
    """The log of an endpoint."""

    needs = {"GET": Scope.WEBHOOKS_READ}
    queries = {"GET": PageQuery}

    @operation(
        "webhook_deliveries_list",
        "List a webhook's deliveries",
        query=PageQuery,
        answer=page_of(DeliverySerializer),
        tags=TAGS,
    )
    def get(self, request: Request, slug: str, webhook_id: str) -> Response:
        """Newest first, with excerpts of request and response."""
        return self.page(WebhookDelivery.objects.filter(endpoint=self.find(webhook_id)), DeliverySerializer)


class RedeliverView(_Webhooks):
    """Sending a message again."""

    needs = {"POST": Scope.WEBHOOKS_WRITE}

    @operation(
        "webhook_deliveries_redeliver", "Send a message again", answer=DeliverySerializer, status=201, tags=TAGS,
        problems=["conflict"], examples=[example("Owed again", _DELIVERY, status=201)],
    )  # fmt: skip
    def post(self, request: Request, slug: str, webhook_id: str, delivery_id: str) -> Response:
        """Whatever became of it, under the same message id, and retried for another 24 hours."""
        rows = WebhookDelivery.objects.filter(endpoint=self.find(webhook_id), public_id=_uuid(delivery_id))
        found = rows.first()
        if found is None:
            raise ProblemError("not_found")
        if not delivery.redeliver(found, timezone.now()):
            raise Conflict("It is being sent right now.")
        found.refresh_from_db()
        return Response(DeliverySerializer(found).data, status=201)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ProblemError("not_found") from None
