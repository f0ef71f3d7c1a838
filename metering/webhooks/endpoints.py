"""A tenant's webhook endpoints: made, changed, their secret rotated."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from tenants import audit
from tenants.models import Tenant

from ..models import WebhookEndpoint
from . import safe_http, secrets
from .events import EVENTS

OVERLAP = timedelta(hours=24)
MAX_ENDPOINTS = 20


class EndpointError(ValueError):
    """The endpoint cannot be as asked; the message says what to change."""


def create(
    tenant: Tenant, url: str, event_types: list[str], description: str, actor: str
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret in clear, which is never shown again. Raises EndpointError."""
    _check(url, event_types)
    if WebhookEndpoint.objects.filter(tenant=tenant, is_active=True).count() >= MAX_ENDPOINTS:
        raise EndpointError(f"A tenant can have {MAX_ENDPOINTS} endpoints. Remove one first.")
    secret = secrets.new_secret()
    with audit.acting(actor, "webhook endpoint added"):
        endpoint = WebhookEndpoint.objects.create(
            tenant=tenant,
            url=url,
            event_types=sorted(set(event_types)),
            description=description[:120],
            secret=secrets.seal(secret),
        )
    return endpoint, secret


def update(
    endpoint: WebhookEndpoint,
    url: str,
    event_types: list[str],
    is_active: bool,
    actor: str,
    description: str | None = None,
) -> WebhookEndpoint:
    """Change where and what is sent; while it is off, nothing is owed to it. Raises EndpointError."""
    _check(url, event_types)
    endpoint.url, endpoint.event_types, endpoint.is_active = url, sorted(set(event_types)), is_active
    if description is not None:
        endpoint.description = description[:120]
    with audit.acting(actor, "webhook endpoint changed"):
        endpoint.save(update_fields=["url", "event_types", "is_active", "description"])
    return endpoint


def rotate(endpoint: WebhookEndpoint, now: datetime, actor: str) -> str:
    """A new secret in clear; for 24 hours messages are signed with the old one too."""
    secret = secrets.new_secret()
    endpoint.previous_secret, endpoint.previous_until = endpoint.secret, now + OVERLAP
    endpoint.secret = secrets.seal(secret)
    with audit.acting(actor, "webhook secret rotated"):
        endpoint.save(update_fields=["secret", "previous_secret", "previous_until"])
    return secret


def remove(endpoint: WebhookEndpoint, actor: str) -> None:
    """Take the endpoint and its log away; what was still owed to it is not sent."""
    with audit.acting(actor, "webhook endpoint removed"):
        endpoint.delete()


def _check(url: str, event_types: list[str]) -> None:
    try:
        safe_http.check_url(url, allow_private=settings.WEBHOOKS_ALLOW_PRIVATE)
    except safe_http.UnsafeUrlError as error:
        raise EndpointError(str(error)) from error
    unknown = sorted(set(event_types) - set(EVENTS))
    if unknown:
        raise EndpointError(f"Unknown event types: {', '.join(unknown)}. Known are {', '.join(EVENTS)}.")
