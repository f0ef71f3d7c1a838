"""Messages owed to endpoints, and their sending: at least once, with an id by which receivers deduplicate."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from standardwebhooks import Webhook

from metering.telling.outbox_metrics import WAITED
from tenants import spans
from tenants.models import Tenant

from ..models import DeliveryState, WebhookDelivery, WebhookEndpoint
from . import events, safe_http, secrets

log = structlog.get_logger(__name__)

KEEP_TRYING = timedelta(hours=24)
LEASE = timedelta(seconds=60)
RUN_SECONDS = 5
SLOW_SECONDS = 1
WAITS = [5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800]
"""Seconds before the second, third … attempt; the last one repeats until 24 hours are over."""


def owe(tenant: Tenant, event_type: str, message_id: str, data: dict[str, Any], now: datetime) -> int:
    """Write the message for every endpoint of the tenant that wants the event; answers how many. Idempotent by `message_id`.

    Call it in the transaction of the cause: then the message is owed exactly when the cause is kept.
    """
    wanted = Q(event_types=[]) | Q(event_types__contains=[event_type])
    body = json.dumps(
        {"type": event_type, "timestamp": now.isoformat(), "data": {"tenant": tenant.slug, **data}}, ensure_ascii=False
    )
    rows = [
        _row(endpoint, event_type, message_id, body, now)
        for endpoint in WebhookEndpoint.objects.filter(wanted, tenant=tenant, is_active=True)
    ]
    return len(WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True))


def send_test(endpoint: WebhookEndpoint, now: datetime) -> WebhookDelivery:
    """Owe a test message to this endpoint alone, whatever events it wants; it goes out within seconds."""
    data = {"tenant": endpoint.tenant.slug, "message": "This is a test. Nothing has happened."}
    body = json.dumps({"type": events.TEST, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False)
    row = _row(endpoint, events.TEST, f"test-{uuid4()}", body, now)
    row.save()
    return row


def _row(endpoint: WebhookEndpoint, event_type: str, message_id: str, body: str, now: datetime) -> WebhookDelivery:
    return WebhookDelivery(
        tenant_id=endpoint.tenant_id, endpoint=endpoint, message_id=message_id, event_type=event_type, body=body,
        next_attempt_at=now, give_up_at=now + KEEP_TRYING, created_at=now, trace_parent=spans.traceparent(),
    )  # fmt: skip


def redeliver(delivery: WebhookDelivery, now: datetime) -> bool:
    """Send it again, whatever became of it, under the same message id, for another 24 hours. False while it is being sent."""
    again = WebhookDelivery.objects.filter(pk=delivery.pk).exclude(state=DeliveryState.SENDING)
    return bool(
        again.update(state=DeliveryState.PENDING, next_attempt_at=now, give_up_at=now + KEEP_TRYING, finished_at=None)
    )


def send_due(now: datetime, limit: int = 100) -> int:
    """Send what is due, for a few seconds; answers how many were tried. Several workers may run it at once.

    An endpoint has one message on its way at a time, and one that was slow waits for the next run: a receiver that hangs holds up
    its own messages, not the workers.
    """
    started = time.monotonic()
    slow: set[int] = set()
    tried = 0
    while tried < limit and (elapsed := time.monotonic() - started) < RUN_SECONDS:
        at = now + timedelta(seconds=elapsed)
        delivery = _claim(at, slow)
        if delivery is None:
            break
        with spans.continued(delivery.trace_parent), spans.span("webhook.send", "consumer", event=delivery.event_type):
            _send(delivery, at)
        tried += 1
        if time.monotonic() - started - elapsed > SLOW_SECONDS:
            slow.add(delivery.endpoint_id)
    return tried


@transaction.atomic
def _claim(now: datetime, slow: Collection[int] = ()) -> WebhookDelivery | None:
    """The next due message, leased to this worker: a killed sender's message is taken up again when its lease has passed."""
    busy = WebhookDelivery.objects.filter(state=DeliveryState.SENDING, next_attempt_at__gt=now).values("endpoint")
    delivery = (
        WebhookDelivery.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("endpoint")
        .filter(state__in=[DeliveryState.PENDING, DeliveryState.SENDING], next_attempt_at__lte=now)
        .exclude(endpoint__in=busy)
        .exclude(endpoint__in=slow)
        .order_by("next_attempt_at")
        .first()
    )
    if delivery is not None:
        delivery.state, delivery.attempts, delivery.next_attempt_at = (
            DeliveryState.SENDING,
            delivery.attempts + 1,
            now + LEASE,
        )
        delivery.save(update_fields=["state", "attempts", "next_attempt_at"])
    return delivery


def _send(delivery: WebhookDelivery, now: datetime) -> None:
    status, excerpt, error = None, "", ""
    if not delivery.endpoint.is_active:
        error = "The endpoint is switched off."
    else:
        try:
            answer = safe_http.post(
                delivery.endpoint.url,
                headers(delivery, now),
                delivery.body.encode(),
                allow_private=settings.WEBHOOKS_ALLOW_PRIVATE,
            )
            status, excerpt = answer.status, answer.body[:500].decode("utf-8", "replace").replace("\x00", "")
        except (safe_http.UnsafeUrlError, safe_http.DeliveryError) as failure:
            error = str(failure)[:300]
        except InvalidToken:
            error = "The signing secret cannot be read any more (SECRET_KEY was changed): rotate it."
    _record(delivery, now, status, excerpt, error)


def headers(delivery: WebhookDelivery, now: datetime) -> dict[str, str]:
    """The Standard Webhooks headers, signed with the endpoint's secret and, while it overlaps, the previous one."""
    endpoint = delivery.endpoint
    sealed = [endpoint.secret]
    if endpoint.previous_secret and endpoint.previous_until is not None and endpoint.previous_until > now:
        sealed.append(endpoint.previous_secret)
    signatures = [Webhook(secrets.unseal(secret)).sign(delivery.message_id, now, delivery.body) for secret in sealed]
    here = spans.traceparent()
    return {
        **({"traceparent": here} if here else {}),
        "Content-Type": "application/json",
        "User-Agent": "Aurelius-Portal-Webhooks/1",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _record(delivery: WebhookDelivery, now: datetime, status: int | None, excerpt: str, error: str) -> None:
    delivered = status is not None and 200 <= status < 300
    wait = timedelta(seconds=WAITS[min(delivery.attempts, len(WAITS)) - 1])
    final = delivered or now + wait > delivery.give_up_at
    state = DeliveryState.DELIVERED if delivered else DeliveryState.FAILED if final else DeliveryState.PENDING
    WebhookDelivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts).update(
        state=state, next_attempt_at=now + wait, finished_at=now if final else None, response_status=status,
        response_excerpt=excerpt, last_error=error or ("" if delivered else f"The receiver answered {status}."),
    )  # fmt: skip
    if delivered:
        WAITED.labels("webhook").observe(max(0.0, (now - delivery.created_at).total_seconds()))
    else:
        log.warning(
            "webhook.not_delivered",
            delivery=delivery.pk,
            tenant=delivery.tenant_id,
            attempt=delivery.attempts,
            status=status,
            final=final,
        )
