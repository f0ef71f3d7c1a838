"""How a hash is shown: its beginning, and all of it for who asks."""

from __future__ import annotations

import re
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext as _

_DIGEST = re.compile(r"(?:sha256:)?[0-9a-fA-F]{32,128}")
DIGEST_SHOWN = 8


def digest(value: Any, most: int | None = None) -> str:
    """A value of a row as text, of at most `most` characters; of a hash its beginning, and all of it for who opens it."""
    text = str(value)
    if _DIGEST.fullmatch(text):
        start = text[: text.find(":") + 1 + DIGEST_SHOWN]
        return format_html(
            '<details class="pa-hash pa-mono"><summary>{}…<span class="sr-only"> {}</span></summary><span>{}</span></details>',
            start,
            _("show all of it"),
            text,
        )
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"
