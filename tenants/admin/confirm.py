"""The page between an action and its effect: what will happen to whom, why, and one button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from tenants.problems import ProblemError

from .base import reason_field

CONFIRMED = "confirmed"


class ReasonOnly(forms.Form):
    """Asks why, and nothing else."""

    reason = reason_field()


class ReasonForCallers(forms.Form):
    """Asks why, and says that whoever calls reads it."""

    reason = reason_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].label = _("Reason, as every caller reads it")
        self.fields["reason"].help_text = _(
            "Word for word: programs with a key get this sentence as “detail” with each refusal, the tenant's people read it in the "
            "portal, and it is kept in the audit trail. Write nothing here that is not for them, such as “The invoice of May is not paid.”"
        )


@dataclass
class Confirmation:
    """An action that waits for its reason.

    `rows` are (what, what happens to it); `run(form)` does it and returns the sentence to say afterwards, or a whole response (a page
    that shows a secret once). `action` and `selected` carry a list action through the page; empty for a page of its own URL.
    """

    page: ModelAdmin
    title: Any
    form: type[forms.Form]
    run: Callable[[Any], str | HttpResponse]
    text: Any = ""
    rows: Sequence[tuple[str, str]] = ()
    action: str = ""
    selected: Sequence[Any] = ()
    button: Any = ""
    danger: bool = False
    initial: dict[str, Any] = field(default_factory=dict)
    nothing: Any = ""
    """Said instead of the page when there are no rows; empty where an action needs none."""
    back: str = ""
    carry: Sequence[tuple[str, str]] = ()
    """Values that the page sends along with its answer."""

    def respond(self, request: HttpRequest) -> HttpResponse:
        """The page, or the effect and the way back."""
        if self.nothing and not self.rows:
            messages.warning(request, str(self.nothing))
            return HttpResponseRedirect(self._back())
        confirmed = request.method == "POST" and CONFIRMED in request.POST
        form = self.form(request.POST if confirmed else None, initial=self.initial)
        if confirmed and form.is_valid():
            try:
                answer = self.run(form)
            except ProblemError as problem:
                form.add_error(None, str(problem))
            else:
                if isinstance(answer, HttpResponse):
                    return answer
                messages.success(request, answer)
                return HttpResponseRedirect(self._back())
        return self.ask(request, form)

    def ask(self, request: HttpRequest, form: forms.Form | None = None) -> HttpResponse:
        """The page, with a fresh form unless one is given: what a first step shows instead of its own effect."""
        asked = form or self.form(initial=self.initial)
        return TemplateResponse(request, "admin/portal/confirm.html", self._context(request, asked))

    def _back(self) -> str:
        options = self.page.model._meta
        return self.back or reverse(f"admin:{options.app_label}_{options.model_name}_changelist")

    def _context(self, request: HttpRequest, form: forms.Form) -> dict[str, Any]:
        request.current_app = self.page.admin_site.name
        return {
            **self.page.admin_site.each_context(request),
            "opts": self.page.model._meta,
            "title": self.title,
            "text": self.text,
            "rows": self.rows,
            "form": form,
            "hidden": [
                *self.carry,
                *(
                    [("action", self.action), *((ACTION_CHECKBOX_NAME, pk) for pk in self.selected)]
                    if self.action
                    else []
                ),
            ],
            "confirmed": CONFIRMED,
            "button": self.button or _("Confirm"),
            "danger": self.danger,
            "back": self._back(),
        }
