"""Signing secrets: made here, stored sealed, shown once."""

from __future__ import annotations

import base64
import secrets

from tenants import audit
from tenants.credentials import sealing

from ..models import WebhookEndpoint

PURPOSE = "webhook-secret"


def new_secret() -> str:
    """A fresh `whsec_…` secret of 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def seal(secret: str) -> str:
    """The secret encrypted under SECRET_KEY."""
    return sealing.seal(PURPOSE, secret)


def unseal(sealed: str) -> str:
    """The secret in clear. Raises sealing.Unreadable when SECRET_KEY and its fallbacks do not fit."""
    return sealing.unseal(PURPOSE, sealed)


def reseal_all(actor: str) -> tuple[int, list[str]]:
    """Seal every endpoint's secrets anew under the present SECRET_KEY; how many endpoints, and those that no known key opens.

    Each is read and written under its row's lock, so that a rotation at the same moment is not undone.
    """
    done, lost = 0, []
    for key in WebhookEndpoint.objects.order_by("pk").values_list("pk", flat=True):
        with audit.acting(actor, "sealed anew under the present SECRET_KEY"):
            endpoint = (
                WebhookEndpoint.objects.select_for_update(of=("self",)).select_related("tenant").filter(pk=key).first()
            )
            if endpoint is None:
                continue
            try:
                endpoint.secret = sealing.reseal(PURPOSE, endpoint.secret)
                if endpoint.previous_secret:
                    endpoint.previous_secret = sealing.reseal(PURPOSE, endpoint.previous_secret)
            except sealing.Unreadable:
                lost.append(f"webhook {endpoint.public_id} of {endpoint.tenant.slug}")
                continue
            endpoint.save(update_fields=["secret", "previous_secret"])
            done += 1
    return done, lost
