"""Dangerous acts ask for the password (or second factor) again when the last proof is older than ACCOUNT_REAUTHENTICATION_TIMEOUT."""

from __future__ import annotations

import time

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest


def demand_fresh_proof(request: HttpRequest) -> None:
    """Returns when this session proved itself lately, by signing in or by answering the question again.

    Else it raises ReauthenticationRequired: allauth's middleware asks, and then goes on with the suspended request. Call it before
    anything is changed. Who has neither password nor second factor (single sign-on only) is proved by the provider.
    """
    if not is_fresh(request):
        raise ReauthenticationRequired


def is_fresh(request: HttpRequest) -> bool:
    """True when nothing needs to be asked again."""
    records = get_authentication_records(request, request.user)
    newest = max((record.get("at", 0) for record in records), default=0)
    recent = time.time() - newest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return recent or not get_reauthentication_flows(request.user)
