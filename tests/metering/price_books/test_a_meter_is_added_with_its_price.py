"""manage.py add_meter: a meter and, in a new version of the default book, its price; said twice, it changes nothing; events of it are taken."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering.ledger import ingestion
from metering.models import Meter, PriceBook

pytestmark = pytest.mark.django_db
INFERENCES = "inferences:Inferences:inference:0.0004"
SEARCHES = "searches:Searches:search:0"


def versions() -> list[tuple[int, dict[str, Decimal]]]:
    book = PriceBook.objects.get(is_default=True)
    published = book.versions.filter(published_at__isnull=False).order_by("starts_at")
    return [(version.number, {row.meter: row.unit_price for row in version.prices.all()}) for version in published]


def test_the_other_prices_stay(capsys: pytest.CaptureFixture[str]) -> None:
    before = versions()
    call_command("add_meter", INFERENCES, SEARCHES)
    priced = {"inferences": Decimal("0.0004"), "searches": Decimal(0)}
    assert versions() == [*before, (before[-1][0] + 1, {**before[-1][1], **priced})]
    assert Meter.objects.get(key="inferences").event_types == {"inferences": 1}
    assert "inferences: added." in capsys.readouterr().out
    call_command("add_meter", "inferences:Other:thing:0.0009", SEARCHES)
    assert len(versions()) == len(before) + 1
    assert Meter.objects.get(key="inferences").name == "Inferences"
    assert "All are priced already." in capsys.readouterr().out


def test_it_is_priced_from_the_next_full_hour() -> None:
    book = PriceBook.objects.get(is_default=True)
    now = timezone.now()
    call_command("add_meter", INFERENCES)
    first = book.versions.get(prices__meter="inferences")
    assert now < first.starts_at <= now + timedelta(hours=1, minutes=1)
    call_command("add_meter", SEARCHES, "--now")  # what is published already is not overtaken
    assert book.versions.get(starts_at__gt=first.starts_at).prices.filter(meter="searches").exists()


def test_now_is_the_hour_that_runs(cast) -> None:
    call_command("add_meter", INFERENCES, "--now")
    now = timezone.now()
    book = PriceBook.objects.get(is_default=True)
    assert now - timedelta(hours=1, minutes=1) < book.versions.get(prices__meter="inferences").starts_at <= now
    event = {
        "id": "1",
        "source": "/ml",
        "type": "inferences",
        "time": now.isoformat(),
        "data": {"quantity": 3, "model": "m"},
    }
    assert [result.status for result in ingestion.book(cast.acme, [event], now)] == ["accepted"]


@pytest.mark.parametrize("text", ["a:A:a:-1", "a:A:a:NaN", "a:A:a:cheap", "a:A:a", "a:A:a:1:2", ":A:a:1"])
def test_what_it_does_not_understand_it_says(text: str) -> None:
    with pytest.raises(CommandError, match="write KEY:NAME:UNIT:PRICE"):
        call_command("add_meter", text)
    assert not Meter.objects.filter(key="a").exists()
