"""How people get an account: by invitation only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from django.conf import settings
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from metering.mail.rendering import Letter
from tenants.enforcement.middleware import client_address

from . import letters
from .fresh import is_fresh


def _confirmation(_to: str, given: dict[str, Any]) -> Letter:
    return letters.confirm_address(given["user"].get_username(), given["activate_url"])


_LETTERS: dict[str, Callable[[str, dict[str, Any]], Letter]] = {
    "email_confirmation": _confirmation, "email_confirmation_signup": _confirmation,
    "password_reset_key": lambda _to, given: letters.reset_password(given.get("username") or "", given["password_reset_url"]),
    "unknown_account": lambda to, _given: letters.unknown_account(to),
    "account_already_exists": lambda to, _given: letters.address_taken(to),
}  # fmt: skip
"""What allauth sends here. Accounts come by invitation, codes are not used, and changes of an account are told by notices."""


class AccountAdapter(DefaultAccountAdapter):
    """Closes the open sign-up."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "too_many_login_attempts": _(
            "Too many failed sign-ins. Wait five minutes, or choose a new password under “Forgot it?”."
        ),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """allauth's own dangerous acts (second factors) ask by our rule: a sign-in counts as proof too."""
        return not is_fresh(context.request)

    def get_client_ip(self, request: HttpRequest) -> str:
        """The caller behind the trusted proxies, so that limits on log-ins count people and not the proxy."""
        return client_address(request)

    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        """allauth's mails in the form of all others, in text and HTML."""
        letter = _LETTERS.get(template_prefix.rpartition("/")[2])
        if letter is None:
            return super().render_mail(template_prefix, email, context, headers)
        (address,) = [email] if isinstance(email, str) else email
        return letters.message(letter(address, context), address)

    def get_reset_password_from_key_url(self, key: str) -> str:
        """The link in the mail leads to SITE_URL, whatever Host the request that asked for it named."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return settings.SITE_URL + path.replace("UID-KEY", quote(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """The same for the link that confirms an address."""
        return settings.SITE_URL + reverse("account_confirm_email", args=[emailconfirmation.key])
