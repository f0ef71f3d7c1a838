"""Forms whose second sending must not act again: reloading the page that shows a new key would make another one."""

from __future__ import annotations

import secrets

from django.http import HttpRequest

FIELD = "once"
_SESSION_KEY = "forms_sent"
_REMEMBERED = 50


def new_ticket() -> str:
    """What a form carries in a hidden field."""
    return secrets.token_urlsafe(12)


def first_time(request: HttpRequest) -> bool:
    """Whether this form has not been sent before in this session; remembers that it has been now."""
    ticket = request.POST.get(FIELD, "")[:40]
    sent = request.session.get(_SESSION_KEY, [])
    if not ticket or ticket in sent:
        return False
    request.session[_SESSION_KEY] = [*sent[-_REMEMBERED:], ticket]
    return True
