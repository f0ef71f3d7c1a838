"""The rarer things of a tenant, so that no page stands empty: an invoice, reservations, requests, a webhook, invitations, files, notices."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.utils import timezone

from metering.files import exporting
from metering.models import BudgetAlert, ExportKind, Notice, Reservation
from metering.models.notice import NoticeKind
from metering.reservations import granting
from metering.webhooks import delivery, endpoints
from tenants.enforcement.counting import refused_hours
from tenants.limiting import quota_requests
from tenants.limiting.quota_requests import Wish
from tenants.models import Membership, User
from tenants.people import invitations
from tests.metering.billing.invoices import issued_invoice
from tests.portal.web import gpu_history

from .stage import Stage


def add(stage: Stage) -> dict[str, str]:
    """Make them; the addresses of pages that name one of them, by what they show, after /t/acme/ (or from "/" on)."""
    acme, now, people = stage.acme, stage.now, stage.people
    alice = Membership.objects.get(tenant=acme, user=people["alice"])
    invoice = issued_invoice(acme)
    endpoint, _ = endpoints.create(
        acme,
        "https://hooks.acme.example/aurelius",
        ["budget.threshold", "invoice.issued"],
        "Billing robot",
        "user:alice",
    )
    delivery.send_test(endpoint, now)
    invitation, token = invitations.invite(acme, "dora@acme.example", "member", by=alice, actor="user:alice", now=now)
    exporting.ask(alice, ExportKind.EVENTS, now.date() - timedelta(days=7), now.date(), now)
    _requests(stage)
    refused_hours.record({
        ("acme", int(now.timestamp()) // 3600 * 3600, stage.keys["notebook"].key_id, "minute"): 412,
        ("acme", int(now.timestamp()) // 3600 * 3600 - 90_000, stage.keys["export"].key_id, "hour"): 57,
    })  # fmt: skip
    Notice.objects.create(
        tenant=acme,
        membership=alice,
        kind=NoticeKind.BUDGET,
        key="one",
        title="90% of “Monthly budget” is spent",
        page="budget",
    )
    with_factor = people["ada"]
    TOTP.activate(with_factor, generate_totp_secret())
    RecoveryCodes.activate(with_factor)
    return {
        "invoice": f"invoices/{invoice.public_id}",
        "invoice line": f"invoices/{invoice.public_id}/lines/1",
        "reservation release": f"reservations/{_reservation(stage).public_id}/release",
        "webhook": f"webhooks/{endpoint.public_id}",
        "webhook edit": f"webhooks/{endpoint.public_id}/edit",
        "webhook remove": f"webhooks/{endpoint.public_id}/remove",
        "key rotate": f"keys/{stage.keys['notebook'].key_id}/rotate",
        "key revoke": f"keys/{stage.keys['notebook'].key_id}/revoke",
        "member role": f"members/{Membership.objects.get(tenant=acme, user=people['bob']).pk}/role",
        "budget edit": f"budget/{BudgetAlert.objects.select_related('budget').earliest('pk').budget.public_id}",
        "invitation withdraw": f"invitations/{invitation.public_id}/withdraw",
        "invitation": f"/invitations/{token}",
    }


def _requests(stage: Stage) -> None:
    """One request that waits, one granted in part, one denied."""
    acme, now, bob = stage.acme, stage.now, stage.people["bob"]
    member = Membership.objects.get(tenant=acme, user=bob)

    def ask(kind: str, name: str, amount: int, why: str) -> uuid.UUID:
        wish = Wish(kind, name, Decimal(amount), why, now + timedelta(days=30))
        return quota_requests.request(acme, wish, by=member, actor="user:bob", user=bob, now=now).public_id

    ask("rate_limit", "minute", 240, "The nightly evaluation reads 200 studies a minute.")
    granted = ask("quota", "api_calls", 2_000_000, "Two more sites go live this month.")
    denied = ask("rate_limit", "day", 90_000, "Backfill of the archive.")
    olivia = User.objects.create_user("olivia", "olivia@platform.example", is_staff=True)
    decided = {"actor": "operator:olivia", "decided_by": olivia, "now": now}
    quota_requests.approve(
        acme,
        granted,
        granted=Decimal(1_500_000),
        valid_until=now + timedelta(days=5),
        reason="Half of it until the upgrade.",
        **decided,
    )
    quota_requests.deny(acme, denied, reason="The backfill runs at night on the batch tier.", **decided)


def _reservation(stage: Stage) -> Reservation:
    """Two GPUs are held, and one stood idle."""
    wish = granting.Wish(2, "H100", Decimal(1), 8 * 3600, {"user": "bob", "project": "mammo"})
    held = granting.reserve(stage.acme, wish, id=uuid.uuid4(), actor="user:bob", now=timezone.now()).reservation
    device = gpu_history.device(stage.now)
    for ago in range(30):
        gpu_history.held(device, stage.acme, stage.now - timedelta(hours=ago), busy=0.6 if ago % 3 else 0.02)
    return held
