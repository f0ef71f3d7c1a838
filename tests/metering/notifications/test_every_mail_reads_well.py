"""What holds for all mails, on the samples that a designer looks at; and names that want to be more than names."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from metering.mail import samples, wording
from metering.mail.letters import BudgetFacts, QuotaFacts, budget_alert, quota_alert
from metering.mail.rendering import page
from metering.money import Money
from metering.telling import notifications


@pytest.fixture(params=notifications.preview_names())
def letter(request, settings):
    settings.SITE_URL = "https://portal.example.org"
    return notifications.preview(request.param)


def test_all_parts_are_there(letter):
    assert 10 < len(letter.subject) <= 120
    assert "\n" not in letter.subject
    assert "https://portal.example.org/" in letter.text
    assert "https://portal.example.org/" in letter.html
    for part in (letter.subject, letter.text, letter.html):
        assert "{{" not in part
        assert "{%" not in part
        assert "None" not in part
        assert "Decimal" not in part


def test_the_zone_is_said(letter):
    measured = r"Measured Jul 18, 2026, \d\d:\d\d (CEST|UTC); the month is that of (Europe/Zurich|UTC)"
    other = r"The day is that of Europe/Zurich|As known Jul 18, 2026, 12:05 UTC. Months are those of each tenant's time zone"
    other += r"|Times are those of (Europe/Zurich|UTC)"
    assert re.search(f"{measured}|{other}", letter.text)


def test_styles_are_inlined_and_nothing_is_loaded(letter):
    body = letter.html[letter.html.index("<body") :]
    assert "<style" not in body
    assert re.search(r'<h1 style="[^"]*font-size', body)
    assert "prefers-color-scheme" in letter.html
    assert not re.search(r"<(img|link|script|iframe)|url\(|@import", letter.html)


def test_html_is_well_formed(letter):
    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "br", "hr", "img"}:
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    parser = Balance()
    parser.feed(letter.html)
    assert parser.open == []


def test_text_lines_are_short_and_without_entities(letter):
    assert max(len(line) for line in letter.text.splitlines()) <= 200
    assert "&" not in letter.text
    assert "\n\n\n" not in letter.text


def test_the_bar_sums_to_the_whole(letter):
    widths = [int(width) for width in re.findall(r'width="(\d+)%"', letter.html) if int(width) != 100]
    assert sum(widths) in (0, 100)


NASTY = '<script>alert(1)</script> & "Söhne" \r\nBcc: evil@x.example \u202egnp.exe'


@pytest.fixture
def budget_facts() -> BudgetFacts:
    usd = Money(Decimal("80.00"), "USD")
    return BudgetFacts(
        "Acme",
        "acme",
        "UTC",
        "Monthly budget",
        usd,
        Money(Decimal("100.00"), "USD"),
        Decimal(80),
        (80, 90, 100),
        "2026-07",
    )


NOW = datetime(2026, 7, 31, 23, 30, tzinfo=UTC)


def test_a_hostile_name_is_only_a_name(budget_facts):
    letter = budget_alert(replace(budget_facts, name=NASTY, budget=NASTY), NOW)

    assert "\r" not in letter.subject
    assert "\n" not in letter.subject
    assert "\u202e" not in letter.subject
    assert "<script" not in letter.html
    assert "&lt;script&gt;" in letter.html
    assert "<script>alert(1)</script> & " in letter.text


def test_a_very_long_name_is_cut_in_the_subject(budget_facts):
    letter = budget_alert(replace(budget_facts, name="A" * 500), NOW)

    assert len(letter.subject) == 200
    assert letter.subject.endswith("…")


def test_nothing_is_promised_without_a_forecast(budget_facts):
    letter = budget_alert(budget_facts, NOW)

    assert "Expected" not in letter.text
    assert "80% of the budget is spent" in letter.text


def test_just_below_the_budget_is_not_used_up(budget_facts):
    letter = budget_alert(replace(budget_facts, spent=Money(Decimal("99.99"), "USD"), percent=Decimal("99.99")), NOW)

    assert letter.text.startswith("99% of the budget is spent")


def test_exactly_the_budget_is_used_up(budget_facts):
    letter = budget_alert(replace(budget_facts, spent=Money(Decimal("100.00"), "USD"), percent=Decimal(100)), NOW)

    assert letter.text.startswith("The budget is used up")
    assert "Left: $0.00" in letter.text


@pytest.mark.parametrize(
    ("zone", "says"),
    [
        ("UTC", "Jul 31, 2026, 23:30 UTC"),
        ("Europe/Zurich", "Aug 1, 2026, 01:30 CEST"),
        ("Asia/Kolkata", "Aug 1, 2026, 05:00 IST"),
        ("America/Sao_Paulo", "Jul 31, 2026, 20:30 -03"),
    ],
)
def test_times_are_the_tenants(budget_facts, zone, says):
    assert f"Measured {says}; the month is that of {zone}." in budget_alert(replace(budget_facts, zone=zone), NOW).text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "Usage above the quota is still counted and billed; please stay below it until"),
        (
            {"meter": "api_calls"},
            "Above the quota, further API calls are refused with HTTP 429 until Aug 1, 2026, 00:00 CEST.",
        ),
        ({"meter": "api_calls", "used": Decimal(100)}, "Further API calls are refused with HTTP 429 until"),
        (
            {"meter": "api_calls", "used": Decimal(100), "grace_percent": 10},
            "Above the quota, further API calls are refused with HTTP 429 after a grace of 10% until",
        ),
        ({"mode": "soft"}, "Nothing is refused: use above the quota is recorded and billed as used."),
        ({"shadow": True}, "This limit is being tried out"),
        ({"is_level": True}, "until something is deleted or the quota is raised"),
    ],
)
def test_a_quota_mail_says_what_happens_above_it(changes, says):
    facts = QuotaFacts(
        "Acme", "acme", "Europe/Zurich", "gpu_hours", "GPU hours", "hour", Decimal(80), Decimal(100),
        datetime(2026, 7, 31, 22, tzinfo=UTC), "2026-07",
    )  # fmt: skip

    assert says in quota_alert(replace(facts, **changes), NOW).text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("1", "call", "1 call"),
        ("812403", "call", "812,403 calls"),
        ("63.44", "hour", "63.4 GPU hours"),
        ("1", "hour", "1 GPU hour"),
        ("0.126", "hour", "0.13 GPU hours"),
        ("1043.7", "GB", "1,044 GB"),
        ("0", "GB", "0 GB"),
    ],
)
def test_quantities(value, unit, text):
    assert wording.quantity(Decimal(value), unit) == text


def test_quarters_have_words():
    assert wording.period("2026-Q3") == "the third quarter of 2026"


def test_a_page_that_does_not_exist_leads_to_the_front_page(settings):
    settings.SITE_URL = "https://portal.example.org"

    assert page("web:no-such-page") == "https://portal.example.org/"
    assert page("web:budget", "acme") == "https://portal.example.org/t/acme/budget"


def test_an_unknown_sample_is_told():
    with pytest.raises(KeyError):
        notifications.preview("nothing")
    assert set(samples.SAMPLES) == set(notifications.preview_names())
