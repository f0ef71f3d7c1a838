"""Operators in front of the admin: olivia (Operators), sam (Support), root (superuser)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from tenants.models import User
from tests.tenants.cast import Cast, make_cast

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
Browse = Callable[[str], Client]


@pytest.fixture
def cast(db: None) -> Cast:
    stage = make_cast()
    stage.people["root"] = User.objects.create_superuser("root", "root@platform.example")
    return stage


@pytest.fixture
def browse(cast: Cast) -> Browse:
    """A signed-in browser of that person."""

    def signed_in(name: str) -> Client:
        client = Client()
        client.force_login(cast.people[name], backend=BACKEND)
        return client

    return signed_in


def text_of(response: HttpResponse) -> str:
    return response.content.decode()


def form_values(response: Any) -> dict[str, Any]:
    """What a browser would send back unchanged: the values of a change form and of all its inlines."""
    context = response.context
    forms = [
        context["adminform"].form,
        *(form for formset in context["inline_admin_formsets"] for form in _forms(formset)),
    ]
    values: dict[str, Any] = {}
    for form in forms:
        for bound in form:
            _put(values, bound)
    return values


def _forms(inline: Any) -> list[Any]:
    return [inline.formset.management_form, *inline.formset.forms]


def _put(values: dict[str, Any], bound: Any) -> None:
    value = bound.value()
    widgets = getattr(bound.field.widget, "widgets", None)
    if widgets:  # date and time in two boxes
        for index, part in enumerate(bound.field.widget.decompress(value)):
            values[f"{bound.html_name}_{index}"] = "" if part is None else str(part)
    elif isinstance(value, bool):
        values.update({bound.html_name: "on"} if value else {})
    elif isinstance(value, list):
        values[bound.html_name] = ",".join(str(each) for each in value)
    else:
        values[bound.html_name] = "" if value is None else str(value)
