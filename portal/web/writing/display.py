"""How a reader wants numbers and money written: a cookie of the browser, like the theme. It changes digits and signs, never an amount.

Dates and words follow the language; files for machines (CSV, API) are written the same for everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse

COOKIE = "display"
LOCALES: dict[str, str] = {
    "en-US": "English (United States)",
    "en-GB": "English (United Kingdom)",
    "de-CH": "Deutsch (Schweiz)",
    "de-DE": "Deutsch (Deutschland)",
    "fr-FR": "français (France)",
    "es-ES": "español (España)",
    "it-IT": "italiano (Italia)",
    "pt-BR": "português (Brasil)",
    "sv-SE": "svenska (Sverige)",
    "ja-JP": "日本語 (日本)",
}
"""Whose digits, separators and places of the currency can be chosen."""
CODE = "code"
"""Currencies by their ISO code instead of their sign."""


class Display(NamedTuple):
    """`locale` "" is the language's own."""

    locale: str = ""
    by_code: bool = False

    @property
    def cookie(self) -> str:
        return f"{self.locale}.{CODE if self.by_code else ''}"


_present: ContextVar[Display | None] = ContextVar("display", default=None)


def present() -> Display:
    """What the reader of the page in the making has chosen."""
    return _present.get() or Display()


def parse(text: str) -> Display:
    """The choice in a cookie; what is unknown there counts as not chosen."""
    locale, _, sign = text.partition(".")
    return Display(locale if locale in LOCALES else "", sign == CODE)


class ReadersFormats:
    """Pages are written as the reader's cookie says."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if COOKIE not in request.COOKIES:
            return self.get_response(request)
        token = _present.set(parse(request.COOKIES[COOKIE]))
        try:
            return self.get_response(request)
        finally:
            _present.reset(token)
