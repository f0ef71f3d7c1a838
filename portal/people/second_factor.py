"""The second factor: its secrets are sealed, and operators need one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.credentials import sealing

PURPOSE = "second-factor"
SEALED = ("secret", "seed", "migrated_codes")
"""The members of an authenticator's data that are sealed."""
SESSION_MARK = "second_factor"
"""Set in a session once its operator was seen to have a second factor, so that a page costs no query for it."""


class SecondFactorAdapter(DefaultMFAAdapter):
    """Seals TOTP secrets and recovery seeds; operators cannot take their second factor off where it is demanded."""

    def encrypt(self, text: str) -> str:
        return sealing.seal(PURPOSE, text)

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.unseal(PURPOSE, encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not demanded_of(authenticator.user)


def reseal_all() -> tuple[int, list[str]]:
    """Seal everybody's TOTP secrets and recovery codes anew under the present SECRET_KEY; how many, and those that no known key opens."""
    done, lost = 0, []
    for key in Authenticator.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            found = Authenticator.objects.select_for_update(of=("self",)).select_related("user").filter(pk=key).first()
            if found is None:
                continue
            try:
                data = {name: _resealed(value) if name in SEALED else value for name, value in found.data.items()}
            except sealing.Unreadable:
                lost.append(f"{found.get_type_display()} of {found.user.get_username()}")
                continue
            if data != found.data:
                found.data = data
                found.save(update_fields=["data"])
                done += 1
    return done, lost


def _resealed(value: Any) -> Any:
    return [_resealed(each) for each in value] if isinstance(value, list) else sealing.reseal(PURPOSE, value)


def demanded_of(user: Any) -> bool:
    """True when this person may not work without a second factor."""
    return bool(settings.OPERATOR_MFA_REQUIRED and user.is_authenticated and user.is_staff)


class OperatorsNeedSecondFactor:
    """Sends an operator without a second factor to set one up before anything else is shown; programs use tokens and are not asked.

    A person who signed in before the factor was set up keeps the session: the mark is made by looking, not by signing in.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            settings.OPERATOR_MFA_REQUIRED
            and not request.path.startswith(("/accounts/", "/api/", "/static/", "/healthz", "/readyz", "/metrics"))
            and demanded_of(request.user)
            and not request.session.get(SESSION_MARK)
        ):
            if not is_mfa_enabled(request.user):
                messages.warning(request, _("Operators need a second factor: set one up to go on."))
                return redirect(reverse("mfa_activate_totp"))
            request.session[SESSION_MARK] = True
        return self.get_response(request)
