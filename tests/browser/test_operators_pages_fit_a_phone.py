"""What operators look at on the way reads on a phone: rows are cards there, and nothing scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from tenants.models import Tenant, User
from tests.portal.web.gpu_history import device, held, hours_ago

from .conftest import Visit
from .stage import Stage

PAGES = ("/admin/metering/gpudevice/fleet/", "/admin/metering/gpudevice/idle/")
WIDER = """
[...document.querySelectorAll('.pa-scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.innerText.slice(0, 60))
"""


@pytest.fixture(scope="module")
def _fleet(stage: Stage, django_db_blocker: Any) -> None:
    """Two devices that acme holds and does not use, and somebody who operates the platform."""
    with django_db_blocker.unblock():
        now, acme = timezone.now(), Tenant.objects.get(slug="acme")
        for index in range(2):
            holder = {"tenant": "acme", "share": "1.0000", "by": "environment", "processes": 1}
            on = device(
                now,
                index=index,
                node="gpu-07",
                holders=[holder],
                readings={"utilization_percent": 0, "power_watts": 90},
            )
            for back in (3, 2, 1):
                held(on, acme, hours_ago(now, back), busy=0.0)
        stage.people["oscar"] = User.objects.create_superuser("oscar", "oscar@platform.example", "demo-demo-demo")


@pytest.mark.usefixtures("_fleet")
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_row_is_a_card_and_nothing_scrolls_sideways(visit: Callable[..., Visit], path: str, theme: str) -> None:
    window = visit("oscar", theme=theme, width=390)
    assert window.open(path) == 200
    page = window.page
    assert page.locator(".pa-cards tbody tr").count() >= 2
    assert page.evaluate(WIDER) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    label = page.evaluate("getComputedStyle(document.querySelector('.pa-cards td[data-label]'), '::before').content")
    assert label not in ("none", "normal", '""')


@pytest.mark.parametrize("path", ["/t/acme/keys"])
def test_a_card_of_many_short_values_pairs_them(visit: Callable[..., Visit], path: str) -> None:
    page = (window := visit("alice", width=390)).page
    window.open(path)
    tops = page.evaluate(
        "[...document.querySelector('.table-pairs tbody tr').cells].map((cell) => Math.round(cell.getBoundingClientRect().top))"
    )
    assert tops[1] == tops[2], "key and scopes stand beside each other"
    assert tops[3] == tops[4], "so do last used and expires"
    assert window.check() == []
    overlaps = page.evaluate(
        "[...document.querySelectorAll('.table-pairs td code')].some((code) => code.getBoundingClientRect().right > code.closest('td').getBoundingClientRect().right + 1)"
    )
    assert not overlaps, "a long key stays in its column"


@pytest.mark.usefixtures("_fleet")
def test_what_changed_keeps_within_its_row(visit: Callable[..., Visit], stage: Stage) -> None:
    page = (window := visit("oscar", width=390)).page
    window.open("/admin/tenants/auditentry/?op=UPDATE")
    assert page.locator(".pa-diff-lines").count() > 0
    assert page.evaluate(
        "[...document.querySelectorAll('.pa-diff-lines, .pa-diff-line')].every((box) => box.getBoundingClientRect().right <= document.documentElement.clientWidth)"
    )
