from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from metering.models import UnattributedGpuTime
from tests.portal.web.gpu_history import device, hour_of
from tests.tenants.cast import Cast

from .conftest import Browse, text_of

USAGE = reverse("admin:metering_meter_usage")
NOBODY = "billed to no one"


@pytest.fixture
def nobodys(cast: Cast) -> None:
    now = timezone.now()
    on = device(now)
    UnattributedGpuTime.objects.create(device=on, hour=hour_of(now), seconds=Decimal(5400), last_seen_at=now)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, True),
        ({"tenant": "unattributed"}, True),
        ({"meter": "gpu_hours"}, True),
        ({"tenant": "acme"}, False),
        ({"meter": "api_calls"}, False),
        ({"month": "2026-01"}, False),
    ],
)
def test_it_is_shown_where_its_month_and_meter_are(
    nobodys: None, browse: Browse, asked: dict[str, str], shown: bool
) -> None:
    body = text_of(browse("root").get(USAGE, asked))
    assert (NOBODY in body) is shown
    assert ("1.5" in body.partition(NOBODY)[2].partition("</tr>")[0]) is shown


def test_it_is_in_the_file(nobodys: None, browse: Browse) -> None:
    answer = browse("root").get(USAGE, {"format": "csv"})
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert [line.split(",")[:5] for line in lines[1:]] == [
        [f"{timezone.now():%Y-%m}", "unattributed", "gpu_hours", "1.500000", "hour"]
    ]
