"""From the three files of a mail (`emails/<kind>/subject.txt`, `body.txt`, `body.html`) to what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import css_inline
from django.conf import settings
from django.template import Context
from django.template.backends.django import Template
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse

from .wording import one_line

MAX_SUBJECT = 200

# Mail programs drop <style>; what only it can do (dark mode, narrow screens) is kept in it as at-rules for those that do not.
_INLINER = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False, apply_width_attributes=True)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail without its addressee. `html` has its styles inlined and refers to nothing outside."""

    kind: str
    subject: str
    text: str
    html: str
    attachment_name: str = ""
    attachment: str = ""
    """A text file that goes with it, such as a CSV; its name is empty where there is none."""


def render(kind: str, context: Mapping[str, Any]) -> Letter:
    """The letter of that kind. Values are escaped in HTML and in HTML alone; the subject is one line of at most 200 characters."""
    everything = {"site_name": settings.SITE_NAME, "site_url": settings.SITE_URL, **context}
    subject = one_line(_plain(f"emails/{kind}/subject.txt", everything))
    if len(subject) > MAX_SUBJECT:
        subject = subject[: MAX_SUBJECT - 1] + "…"
    text = (
        "\n".join(line.rstrip() for line in _plain(f"emails/{kind}/body.txt", everything).strip().splitlines()) + "\n"
    )
    html = get_template(f"emails/{kind}/body.html").render(everything | {"subject": subject})
    return Letter(kind, subject, text, _INLINER.inline(html))


def page(name: str, *arguments: str) -> str:
    """The absolute address of a page of the portal; its front page where that page does not exist."""
    try:
        return settings.SITE_URL + reverse(name, args=arguments)
    except NoReverseMatch:
        return settings.SITE_URL + "/"


def _plain(name: str, context: Mapping[str, Any]) -> str:
    """Render without HTML escaping, which Django applies to every template, a .txt one too."""
    return cast(Template, get_template(name)).template.render(Context(dict(context), autoescape=False))
