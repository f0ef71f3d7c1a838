"""Every page × role × light and dark × phone and desk: its status, nothing in the console, nothing that the policy refuses.

And, once in light at a desk and once in dark on a phone, nothing serious that axe-core finds, nor our own checks (names, order of
headings, contrast, size of targets).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

from . import pages
from .conftest import Visit

OURS = (Path(__file__).parent / "accessibility.js").read_text()
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .map((each) => [each.impact, each.id, each.nodes.map((node) => node.target.join(" ")).slice(0, 5)])"""
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
"""Charts follow the window a moment after it has changed."""
HARMLESS = ("Failed to load resource", 'The specified value "ten"')
"""What Chromium says of every page with an error's status, and of the wrong number that the style guide shows."""
SERIOUS = {"serious", "critical"}
STARTS = (("light", 1280, 390), ("dark", 390, 1280))
"""A page is opened in this theme at the first width, and then made as wide as the second."""


@pytest.mark.parametrize("person", sorted(pages.ALL))
def test_every_page_renders_for_every_role(visit: Callable[..., Visit], more: dict[str, str], person: str) -> None:
    wanted = {
        f"/t/acme/{page}": 200 if person in allowed else 403
        for page, allowed in pages.TENANT.items()
        if person in allowed or "?" not in page
    }
    assert _looked_at(visit(person), wanted, usable=person == "alice") == {}


def test_pages_of_one_thing_render(visit: Callable[..., Visit], more: dict[str, str]) -> None:
    assert _looked_at(visit("alice"), dict.fromkeys(more.values(), 200), usable=True) == {}


def test_own_pages_render(visit: Callable[..., Visit], more: dict[str, str]) -> None:
    assert _looked_at(visit("alice"), dict.fromkeys(pages.OWN, 200), usable=True) == {}
    assert _looked_at(visit("ada"), dict.fromkeys(pages.WITH_SECOND_FACTOR, 200), usable=True) == {}


def test_pages_before_sign_in_render(visit: Callable[..., Visit]) -> None:
    assert _looked_at(visit(), pages.BEFORE, usable=True) == {}


def _looked_at(window: Visit, wanted: dict[str, int], *, usable: bool) -> dict[str, object]:
    """What is wrong, by page and theme. A page that may not be opened is looked at once: it is the same for all."""
    wrong: dict[str, object] = {}
    for theme, width, then in STARTS:
        for page, status in wanted.items():
            if status == 403 and theme == "dark":
                continue
            window.look(theme, width)
            found = window.open(page)
            problems: list[Any] = window.check()
            if usable:
                problems += _unusable(window)
            window.look(theme, then)
            window.settle()
            window.until(FITS)
            problems += [f"made {then} wide: {each}" for each in window.check() if each not in problems]
            problems = [each for each in problems if not any(words in each for words in HARMLESS)]
            if found != status or problems:
                wrong[f"{page} {theme} {width}"] = (found, problems)
            window.problems.clear()
    return wrong


def _unusable(window: Visit) -> Iterable[Any]:
    yield from window.page.evaluate(OURS)
    window.page.evaluate(AXE)
    yield from (each for each in window.page.evaluate(RUN) if each[0] in SERIOUS)
