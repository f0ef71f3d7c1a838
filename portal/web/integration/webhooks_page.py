"""Webhooks: endpoints, their secrets (shown once), the log of deliveries, tests, and sending again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from metering.webhooks import delivery, endpoints
from metering.webhooks.events import EVENTS
from tenants import audit
from tenants.access import Access

from ..frame import once
from ..frame.pages import Page, tenant_page
from ..frame.shell import MANAGERS
from .webhook_form import WebhookForm

PER_PAGE = 25
TONES = {
    DeliveryState.DELIVERED: "good",
    DeliveryState.FAILED: "bad",
    DeliveryState.PENDING: "warn",
    DeliveryState.SENDING: "",
}


@tenant_page("webhooks")
def index(request: HttpRequest, access: Access) -> Page:
    """The endpoints."""
    rows = WebhookEndpoint.objects.filter(tenant=access.tenant).order_by("pk")
    return Page(
        "portal/integration/webhooks.html",
        {"endpoints": [(row, _events(row)) for row in rows], "can_change": not access.read_only},
    )


@tenant_page("webhooks", methods=("GET", "HEAD", "POST"))
def create(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: the form. POST: make the endpoint and show its secret, once."""
    access.require(*MANAGERS)
    form = WebhookForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if not once.first_time(request):
            messages.info(request, _("That form was sent already. If the secret got lost, rotate it."))
            return redirect("web:webhooks", access.tenant.slug)
        values = form.cleaned_data
        try:
            endpoint, secret = endpoints.create(
                access.tenant,
                values["url"],
                values["event_types"],
                values["description"],
                audit.user_actor(request.user),
            )
        except endpoints.EndpointError as error:
            form.add_error("url", str(error))
        else:
            return Page("portal/integration/webhook_secret.html", {"endpoint": endpoint, "secret": secret}, secret=True)
    del form.fields["is_active"]
    context = {"form": form, "ticket": once.new_ticket(), "endpoint": None}
    return Page("portal/integration/webhook_edit.html", context, status=400 if form.errors else 200)


@tenant_page("webhooks", methods=("GET", "HEAD", "POST"))
def edit(request: HttpRequest, access: Access, endpoint_id: UUID) -> Page | HttpResponse:
    """GET: the form. POST: change where and what is sent, or switch it off."""
    access.require(*MANAGERS)
    endpoint = _find(access, endpoint_id)
    initial = {name: getattr(endpoint, name) for name in ("url", "description", "event_types", "is_active")}
    form = WebhookForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        values, actor = form.cleaned_data, audit.user_actor(request.user)
        try:
            endpoints.update(
                endpoint, values["url"], values["event_types"], values["is_active"], actor, values["description"]
            )
        except endpoints.EndpointError as error:
            form.add_error("url", str(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("web:webhook", access.tenant.slug, endpoint.public_id)
    return Page(
        "portal/integration/webhook_edit.html", {"form": form, "endpoint": endpoint}, status=400 if form.errors else 200
    )


@tenant_page("webhooks")
def detail(request: HttpRequest, access: Access, endpoint_id: UUID) -> Page:
    """One endpoint and its log, newest first."""
    endpoint = _find(access, endpoint_id)
    page = Paginator(WebhookDelivery.objects.filter(endpoint=endpoint), PER_PAGE).get_page(request.GET.get("page"))
    waiting = (DeliveryState.PENDING, DeliveryState.SENDING)
    context = {
        "endpoint": endpoint,
        "events": _events(endpoint),
        "deliveries": [(row, TONES[DeliveryState(row.state)], row.state in waiting) for row in page],
        "page_obj": page,
        "can_change": not access.read_only,
    }
    return Page("portal/integration/webhook.html", context)


@tenant_page("webhooks", methods=("GET", "HEAD", "POST"))
def rotate(request: HttpRequest, access: Access, endpoint_id: UUID) -> Page | HttpResponse:
    """GET: the question. POST: a new secret, shown once; the old one still signs for a day."""
    access.require(*MANAGERS)
    endpoint = _find(access, endpoint_id)
    if request.method == "POST":
        secret = endpoints.rotate(endpoint, timezone.now(), audit.user_actor(request.user))
        return Page(
            "portal/integration/webhook_secret.html",
            {"endpoint": endpoint, "secret": secret, "rotated": True},
            secret=True,
        )
    text = _(
        "You see the new secret once. For 24 hours messages carry signatures of both, so that nothing is refused meanwhile."
    )
    return _question(request, access, endpoint, _("Rotate the secret?"), text, _("Rotate"), tone="primary")


@tenant_page("webhooks", methods=("GET", "HEAD", "POST"))
def remove(request: HttpRequest, access: Access, endpoint_id: UUID) -> Page | HttpResponse:
    """GET: the question. POST: the endpoint and its log go."""
    access.require(*MANAGERS)
    endpoint = _find(access, endpoint_id)
    if request.method == "POST":
        endpoints.remove(endpoint, audit.user_actor(request.user))
        messages.success(request, _("The endpoint is removed."))
        return redirect("web:webhooks", access.tenant.slug)
    text = _("Its log goes with it, and what is still owed to it is not sent. To keep them, switch it off instead.")
    return _question(request, access, endpoint, _("Remove this endpoint?"), text, _("Remove"))


@tenant_page("webhooks", methods=("POST",))
def test(request: HttpRequest, access: Access, endpoint_id: UUID) -> HttpResponse:
    """Owe a test message."""
    access.require(*MANAGERS)
    endpoint = _find(access, endpoint_id)
    delivery.send_test(endpoint, timezone.now())
    messages.success(request, _("A test message goes out within seconds; the log shows what comes of it."))
    return redirect("web:webhook", access.tenant.slug, endpoint.public_id)


@tenant_page("webhooks", methods=("POST",))
def redeliver(request: HttpRequest, access: Access, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
    """Send a message of the log again."""
    access.require(*MANAGERS)
    endpoint = _find(access, endpoint_id)
    row = WebhookDelivery.objects.filter(endpoint=endpoint, public_id=delivery_id).first()
    if row is None:
        raise Http404
    if delivery.redeliver(row, timezone.now()):
        messages.success(request, _("It is sent again within seconds."))
    else:
        messages.info(request, _("It is being sent right now."))
    return redirect("web:webhook", access.tenant.slug, endpoint.public_id)


def _find(access: Access, endpoint_id: UUID) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.filter(tenant=access.tenant, public_id=endpoint_id).first()
    if endpoint is None:
        raise Http404
    endpoint.tenant = access.tenant
    return endpoint


def _events(endpoint: WebhookEndpoint) -> str:
    return ", ".join(EVENTS.get(event, event) for event in endpoint.event_types) or _("Every event")


def _question(
    request: HttpRequest,
    access: Access,
    endpoint: WebhookEndpoint,
    title: str,
    text: str,
    button: str,
    tone: str = "danger",
) -> Page:
    context: dict[str, Any] = {
        "title": title, "text": text, "button": button, "tone": tone, "action": request.path,
        "cancel_url": reverse("web:webhook", args=[access.tenant.slug, endpoint.public_id]), "cancel_label": _("Webhook"),
    }  # fmt: skip
    return Page("portal/frame/confirm.html", context, fragment="portal/frame/_confirm.html")
