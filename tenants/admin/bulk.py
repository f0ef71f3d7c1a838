"""A list action of rows that are otherwise only looked at: which rows, why, then the effect on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from .base import LookOnly, acting
from .confirm import Confirmation, ReasonOnly


class ActedOn(LookOnly):
    """Beside a ModelAdmin: nothing is edited; whoever has the model's change right may take its actions (`permissions=["act"]`)."""

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)  # type: ignore[misc]  # past LookOnly, to the model's own


def confirmed(
    page: ModelAdmin,
    request: HttpRequest,
    rows: Sequence[Any],
    *,
    action: str,
    title: Any,
    text: Any,
    said: Callable[[Any], str],
    apply: Callable[[str], object],
    done: Any,
    button: Any,
    nothing: Any,
) -> HttpResponse:
    """Ask for a reason, naming each row as `said` does beside its tenant; then `apply(reason)`, attributed, and say `done`."""

    def run(form: forms.Form) -> str:
        with acting(request, form.cleaned_data["reason"]):
            apply(form.cleaned_data["reason"])
        return str(done)

    return Confirmation(
        page=page,
        title=title,
        text=text,
        rows=[(str(row.tenant), said(row)) for row in rows],
        form=ReasonOnly,
        run=run,
        action=action,
        selected=[row.pk for row in rows],
        button=button,
        nothing=nothing,
    ).respond(request)
