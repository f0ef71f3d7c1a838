"""POST /events: usage events as CloudEvents 1.0, one or up to 1,000, each with its own result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.ledger import ingestion
from tenants import access
from tenants.api.documentation import example, operation
from tenants.api.parsers import MEBIBYTE, StrictJSONParser
from tenants.api.views import ApiView
from tenants.credentials import apikeys
from tenants.models.apikey import Scope
from tenants.problems import Denied, FieldError, Invalid, ProblemError

MAX_EVENTS = 1000
SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class EventsParser(StrictJSONParser):
    """`application/json`: one event or an array of events."""

    max_bytes = 8 * MEBIBYTE - 1
    max_members = 100_000


class SingleEventParser(EventsParser):
    """One event in CloudEvents' structured mode."""

    media_type = SINGLE


class BatchParser(EventsParser):
    """An array of events in CloudEvents' batched mode."""

    media_type = BATCH


class EventSerializer(serializers.Serializer[Any]):
    """A usage event: CloudEvents 1.0 in JSON."""

    specversion = serializers.ChoiceField(choices=["1.0"], required=False)
    id = serializers.CharField(
        max_length=200, help_text="With `source`, the identity of the fact: sent twice, it counts once."
    )
    source = serializers.CharField(max_length=200, help_text="Who measured, such as /cluster/eu1.")  # type: ignore[assignment]
    type = serializers.CharField(
        help_text="A meter's event type: api_calls, gpu_hours, gpu_seconds, storage_gb, storage_bytes …"
    )
    time = serializers.DateTimeField(
        help_text="When it happened, with time zone; at most 35 days ago and 5 minutes ahead."
    )
    subject = serializers.CharField(required=False, help_text="The tenant's slug, if it is said at all.")
    datacontenttype = serializers.CharField(required=False, help_text="application/json")
    data = serializers.DictField(  # type: ignore[assignment]
        help_text="`quantity` is the amount in the type's unit, a number or a decimal string. All other members are dimensions. "
        "`corrects` = {source, id} makes it a correction: a signed amount that is added to the named event."
    )


class EventResultSerializer(serializers.Serializer[Any]):
    """What became of one event."""

    index = serializers.IntegerField(help_text="Position in the request, from 0.")
    source = serializers.CharField()  # type: ignore[assignment]
    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["accepted", "duplicate", "conflict", "rejected"])
    code = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)


class EventsAnswerSerializer(serializers.Serializer[Any]):
    """How many of each, and every single result."""

    accepted = serializers.IntegerField()
    duplicate = serializers.IntegerField(help_text="Known already with the same content; nothing changed.")
    conflict = serializers.IntegerField(help_text="Known already with another content; nothing changed.")
    rejected = serializers.IntegerField()
    results = EventResultSerializer(many=True)


_EVENT = {
    "specversion": "1.0", "id": "job-17", "source": "/cluster/eu1", "type": "gpu_hours", "time": "2026-07-15T12:00:00Z",
    "data": {"quantity": "0.5", "model": "H100", "project": "mammography"},
}  # fmt: skip
_ACCEPTED = {"index": 0, "source": "/cluster/eu1", "id": "job-17", "status": "accepted"}
_REJECTED = {
    "index": 1, "source": "/cluster/eu1", "id": "job-18", "status": "rejected", "code": "naive_time",
    "detail": "`time` needs an offset, such as Z or +02:00.",
}  # fmt: skip
_BODY = PolymorphicProxySerializer(
    "EventOrEvents", [EventSerializer, EventSerializer(many=True)], resource_type_field_name=None, many=False
)


class EventsView(ApiView):
    """The ledger's front door. The tenant is the API key's, whatever an event says."""

    needs = {"POST": Scope.USAGE_WRITE}
    parser_classes = [EventsParser, SingleEventParser, BatchParser]
    remembers = False  # events have an identity of their own

    def find_tenant(self, **kwargs: Any) -> None:
        if self.caller.kind != "key":
            raise Denied("Events are sent with an API key of the tenant whose usage they tell.")
        self.tenant = access.tenant_by_slug(self.caller.slug or "", only=self.caller.slug)

    @operation(
        "events_send", "Send usage events", tags=["Usage"], idempotent=False, writes=True, of_tenant=False,
        problems=["insufficient_scope", "permission_denied", "tenant_suspended", "tenant_closed", "budget_exhausted"],
        request={"application/json": _BODY, SINGLE: EventSerializer, BATCH: EventSerializer(many=True)},
        answer=EventsAnswerSerializer, more_answers={207: EventsAnswerSerializer},
        examples=[
            example("One", _EVENT, request=True),
            example("Accepted", {"accepted": 1, "duplicate": 0, "conflict": 0, "rejected": 0, "results": [_ACCEPTED]}),
            example(
                "Mixed", {"accepted": 1, "duplicate": 0, "conflict": 0, "rejected": 1, "results": [_ACCEPTED, _REJECTED]}, status=207
            ),
        ],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """One event, or an array of 1 to 1,000. Each gets its result, in order; what is accepted is booked together, or nothing is.

        200 when every event is accepted or a duplicate, 207 when some are not: look at `results`. Sending again is always safe.
        """
        assert self.tenant is not None  # noqa: S101  (find_tenant)
        events = [_addressed(event) for event in _listed(request.data, _media_type(request))]
        apikeys.mark_used([(self.tenant.pk, self.caller.key_id)], timezone.now())
        results = [_shown(result) for result in ingestion.book(self.tenant, events, timezone.now())]
        counts = Counter(result["status"] for result in results)
        body = {status: counts[status] for status in ("accepted", "duplicate", "conflict", "rejected")} | {
            "results": results
        }
        return Response(body, status=207 if counts["conflict"] or counts["rejected"] else 200)


def _media_type(request: Request) -> str:
    return (request.content_type or "").split(";")[0].strip().lower()


def _listed(document: Any, media_type: str) -> list[Any]:
    if isinstance(document, list):
        if media_type == SINGLE:
            raise Invalid(FieldError("", "not_an_object", f"{SINGLE} carries one event. Send an array as {BATCH}."))
        if not document:
            raise Invalid(FieldError("", "empty", "Send at least one event."))
        if len(document) > MAX_EVENTS:
            raise ProblemError(
                "payload_too_large", f"Send at most {MAX_EVENTS:,} events at once.", extra={"max_events": MAX_EVENTS}
            )
        return document
    if media_type == BATCH:
        raise Invalid(FieldError("", "not_a_list", f"{BATCH} carries an array of events."))
    if not isinstance(document, Mapping) or not document:
        told = "Send an event, such as the example in the documentation (an object with id, source, type, time, data), or an array of events."
        raise Invalid(FieldError("", "not_an_object", told))
    return [document]


def _addressed(event: Any) -> Any:
    """CloudEvents' `subject`, where it is given, names whose usage it is: booked only when that is the key's tenant."""
    if isinstance(event, dict) and "subject" in event and "tenant" not in event:
        return {**event, "tenant": event["subject"]}
    return event


def _shown(result: ingestion.ItemResult) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "index": result.position,
        "source": result.source,
        "id": result.id,
        "status": result.status,
    }
    if result.code:
        shown |= {"code": result.code, "detail": result.detail}
    return shown
