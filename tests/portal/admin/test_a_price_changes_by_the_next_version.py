from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metering.models import Price, PriceBook, PriceBookVersion
from tenants.models import AuditEntry
from tests.tenants.cast import Cast

from .conftest import Browse, form_values, text_of


@pytest.fixture
def olivia(cast: Cast, browse: Browse) -> Client:
    return browse("olivia")


@pytest.fixture
def book(cast: Cast) -> PriceBook:
    return PriceBook.objects.get(slug="default")


def draft(olivia: Client, book: PriceBook) -> PriceBookVersion:
    start = timezone.now() + timedelta(days=3)
    values = {"confirmed": "1", "starts_at_0": f"{start:%Y-%m-%d}", "starts_at_1": "00:00:00", "reason": "cheaper GPUs"}
    answer = olivia.post(reverse("admin:metering_pricebook_new_version", args=[book.pk]), values)
    assert answer.status_code == 302, text_of(answer)
    return book.versions.order_by("-number")[0]


def page_of(version: PriceBookVersion) -> str:
    return reverse("admin:metering_pricebookversion_change", args=[version.pk])


def dry_run(olivia: Client, version: PriceBookVersion) -> str:
    """Run it, and answer the page that shows it."""
    url = reverse("admin:metering_pricebookversion_dry_run", args=[version.pk])
    assert olivia.post(url).status_code == 302
    return text_of(olivia.get(url, {"show": "all"}))


def test_a_new_version_is_a_copy_that_is_edited_and_published(olivia: Client, book: PriceBook) -> None:
    version = draft(olivia, book)
    assert version.number == 2
    values = form_values(olivia.get(page_of(version)))
    row = next(name for name, value in values.items() if value == "gpu_hours").removesuffix("-meter")
    assert values[f"{row}-unit_price"] == "2.5"
    answer = olivia.post(page_of(version), {**values, f"{row}-unit_price": "1.95", "audit_reason": "cheaper GPUs"})
    assert answer.status_code == 302
    assert version.prices.get(meter="gpu_hours").unit_price == Decimal("1.95")
    publish = reverse("admin:metering_pricebookversion_publish", args=[version.pk])
    answer = olivia.post(publish, {"confirmed": "1", "reason": "board decision"})
    version.refresh_from_db()
    assert version.published_at is None, "only from its dry run"
    assert publish not in text_of(olivia.get(answer["Location"]))
    assert publish in dry_run(olivia, version)
    answer = olivia.post(publish, {"confirmed": "1", "reason": "board decision"})
    assert answer.status_code == 302
    version.refresh_from_db()
    assert version.published_at is not None
    entry = AuditEntry.objects.filter(table_name="metering_pricebookversion", operation="UPDATE").latest("id")
    assert (entry.actor, entry.reason) == ("user:olivia", "board decision")


def test_a_started_version_can_only_be_read(olivia: Client, book: PriceBook) -> None:
    started = book.versions.get(number=1)
    page = olivia.get(page_of(started))
    assert 'name="_save"' not in text_of(page)
    assert olivia.post(page_of(started), {"audit_reason": "x", "note": "x"}).status_code == 403
    price = started.prices.get(meter="gpu_hours")
    assert price.unit_price == Decimal("2.5")
    book_page = olivia.get(reverse("admin:metering_pricebook_change", args=[book.pk]))
    assert "2.5 USD per GPU hour" in text_of(page)
    assert "GPU hours: 2.5 USD per GPU hour" in text_of(book_page)


def test_a_price_that_makes_no_sense_is_refused_with_all_other_changes(olivia: Client, book: PriceBook) -> None:
    version = draft(olivia, book)
    values = form_values(olivia.get(page_of(version)))
    rows = [name.removesuffix("-meter") for name, value in values.items() if name.endswith("-meter") and value]
    bad = {f"{rows[0]}-charge_model": "graduated", f"{rows[1]}-unit_price": "9", "audit_reason": "x"}
    answer = olivia.post(page_of(version), {**values, **bad}, follow=True)
    assert "tiers" in text_of(answer)
    assert not Price.objects.filter(version=version, unit_price=9).exists()
    assert set(version.prices.values_list("charge_model", flat=True)) == {"per_unit"}


def test_the_past_is_not_repriced_by_accident(olivia: Client, book: PriceBook) -> None:
    version = draft(olivia, book)
    PriceBookVersion.objects.filter(pk=version.pk).update(starts_at=version.starts_at - timedelta(days=9))
    url = reverse("admin:metering_pricebookversion_publish", args=[version.pk])
    page = dry_run(olivia, version)
    assert "starts in the past" in page
    assert "GPU hours: 2.5 USD per GPU hour" in page
    assert olivia.post(url, {"confirmed": "1", "reason": "x"}).status_code == 200
    version.refresh_from_db()
    assert version.published_at is None
    assert olivia.post(url, {"confirmed": "1", "reason": "agreed with all tenants", "force": "on"}).status_code == 302
    version.refresh_from_db()
    assert version.published_at is not None


def test_every_charge_model_is_edited_without_json(olivia: Client, book: PriceBook) -> None:
    version = draft(olivia, book)
    values = form_values(olivia.get(page_of(version)))
    row = next(name for name, value in values.items() if value == "gpu_hours").removesuffix("-meter")
    steps = "100: 2.5 + 5\nbeyond: 2"
    graduated = {
        f"{row}-charge_model": "graduated",
        f"{row}-steps": steps,
        f"{row}-allowance": "10",
        "audit_reason": "x",
    }
    assert olivia.post(page_of(version), {**values, **graduated}).status_code == 302
    price = version.prices.get(meter="gpu_hours")
    assert price.params == {
        "tiers": [{"up_to": "100", "unit_price": "2.5", "flat": "5"}, {"unit_price": "2"}],
        "allowance": "10",
    }
    assert form_values(olivia.get(page_of(version)))[f"{row}-steps"] == steps


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", "100 2.5"), ("steps", "beyond: x"), ("steps", "100: 2.5"), ("steps", "100: 1\n50: 1\nbeyond: 1"),
        ("allowance", "-5"), ("allowance", "NaN"), ("allowance", "many"), ("size", "100"), ("unit_price", "-1"), ("overage_factor", "2"),
    ],
)  # fmt: skip
def test_a_bad_condition_is_named_and_nothing_is_written(
    olivia: Client, book: PriceBook, field: str, value: str
) -> None:
    version = draft(olivia, book)
    values = form_values(olivia.get(page_of(version)))
    row = next(name for name, value in values.items() if value == "gpu_hours").removesuffix("-meter")
    model = {f"{row}-charge_model": "graduated"} if field == "steps" else {}
    before = list(version.prices.order_by("pk").values())
    olivia.post(page_of(version), {**values, **model, f"{row}-{field}": value, "audit_reason": "x"})
    assert list(version.prices.order_by("pk").values()) == before
