"""Mails about people's access. They carry one-time links, so they are sent at once and never written down."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.core.mail import EmailMultiAlternatives
from django.utils.translation import gettext as _

from metering.mail.rendering import Letter, page, render
from metering.mail.wording import moment
from tenants.models import Invitation

log = logging.getLogger(__name__)


def invitation(invitation: Invitation, token: str) -> Letter:
    """Asks somebody to join a tenant."""
    inviter = invitation.invited_by
    return render(
        "invitation",
        {
            "tenant": invitation.tenant.name,
            "role": invitation.get_role_display().lower(),
            "who": (inviter.get_full_name() or inviter.get_username()) if inviter else _("The platform's operators"),
            "email": invitation.email,
            "expires": moment(invitation.expires_at, invitation.tenant.time_zone),
            "url": page("web:invitation", token),
        },
    )


def confirm_address(name: str, url: str) -> Letter:
    """Asks whether the address is theirs; `name` is who added it."""
    return render("account-confirm", {"name": name, "url": url})


def reset_password(name: str, url: str) -> Letter:
    """The link with which a new password is chosen."""
    return render("account-reset", {"name": name, "url": url})


def unknown_account(email: str) -> Letter:
    """Said to an address of no account instead of a link, so that the page need not say it to strangers."""
    return render("account-unknown", {"email": email, "url": page("account_login")})


def address_taken(email: str) -> Letter:
    """Said to an address that somebody wanted for another account."""
    return render("account-taken", {"email": email, "url": page("account_reset_password")})


def message(letter: Letter, address: str) -> EmailMultiAlternatives:
    """The letter as a mail to one address: text, and the same in HTML."""
    mail = EmailMultiAlternatives(letter.subject, letter.text, to=[address])
    mail.attach_alternative(letter.html, "text/html")
    return mail


def send(letter: Letter, address: str) -> bool:
    """Hand the mail to the mail server now. False when it did not take it; then the sender is told to try again."""
    try:
        return bool(message(letter, address).send())
    except (SMTPException, OSError) as error:
        log.warning("mail.not_sent", extra={"kind": letter.kind, "error": type(error).__name__})
        return False
