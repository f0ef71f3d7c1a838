from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command

from metering.billing.issuing import credit, issue
from metering.focus import export
from metering.focus.validation import validate
from metering.ledger import ingestion, rollups
from metering.models import BillingProfile, Price, PriceBook, PriceBookVersion, TaxRate, TenantPriceBook
from metering.models.price_book import ChargeModel
from metering.money import Money
from tenants import periods
from tenants.models import Tenant, Tier
from tests.metering.events import event

JULY = datetime(2026, 7, 8, 12, tzinfo=UTC)
AUGUST = datetime(2026, 8, 3, 9, tzinfo=UTC)
SEPTEMBER = datetime(2026, 9, 3, 9, tzinfo=UTC)

Use = Callable[..., None]


@pytest.fixture
def use() -> Use:
    def report(
        tenant: Tenant,
        id: str,
        amount: Any,
        kind: str = "gpu_hours",
        on: datetime = JULY,
        now: datetime = AUGUST,
        **dims: str,
    ) -> None:
        (result,) = ingestion.book(tenant, [event(id, on, amount, kind, **dims)], now)
        assert result.status == "accepted", result
        rollups.run(now)

    return report  # fmt: skip


@pytest.fixture
def rich(db: None) -> Tenant:
    """Steps with a fee, packages, an allowance, a monthly fee and a minimum: every charge model in one book."""
    book = PriceBook.objects.create(slug="umbrella", name="Umbrella", currency="USD")
    start = datetime(2026, 7, 1, tzinfo=UTC)
    tier = Tier.objects.get(slug="standard")
    with time_machine.travel(start):
        tenant = Tenant.objects.create(slug="umbrella", name="Umbrella", tier=tier)
    version = PriceBookVersion.objects.create(book=book, number=1, starts_at=start)
    tiers = [{"up_to": "10", "unit_price": "2.5"}, {"up_to": None, "unit_price": "1.25", "flat": "3"}]
    more = {"tiers": tiers, "minimum": "1000"}
    Price.objects.create(
        version=version, meter="gpu_hours", charge_model=ChargeModel.GRADUATED, unit_price=0, params=more
    )
    size = {"size": "1000", "allowance": "10"}
    Price.objects.create(
        version=version, meter="api_calls", charge_model=ChargeModel.PACKAGE, unit_price=Decimal("0.7"), params=size
    )
    Price.objects.create(version=version, meter="storage_gb", charge_model=ChargeModel.FLAT, unit_price=Decimal("9.99"))
    version.published_at = start
    version.save(update_fields=["published_at"])
    TenantPriceBook.objects.create(tenant=tenant, book=book, starts_at=start, reason="contract")
    return tenant


def table(text: str) -> tuple[list[str], list[dict[str, str]]]:
    header, *rows = csv.reader(io.StringIO(text))
    return header, [dict(zip(header, row, strict=True)) for row in rows]


def sound(month: str, now: datetime) -> list[dict[str, str]]:
    """The rows of the month's file, after it has been checked against the documents."""
    text = "".join(export.csv(month, now))
    header, *rows = csv.reader(io.StringIO(text))
    assert list(map(str, validate(header, rows, export.totals(month, now)))) == []
    return table(text)[1]


def test_a_month_that_is_not_invoiced(acme: Tenant, globex: Tenant, use: Use) -> None:
    use(acme, "1", "3.333333", model="H100", project="mammo")
    use(acme, "2", "1.1", model="A100")
    use(globex, "3", 777, "api_calls")
    rows = sound("2026-07", AUGUST)
    assert {row["InvoiceId"] for row in rows} == {""}
    assert {(row["BillingAccountId"], row["SkuPriceDetails"], row["Tags"]) for row in rows} == {
        ("acme", '{"x_model": "H100"}', '{"project": "mammo"}'), ("acme", '{"x_model": "A100"}', ""), ("globex", "", ""),
    }  # fmt: skip
    assert sum(Decimal(row["BilledCost"]) for row in rows if row["BillingAccountId"] == "acme") == Decimal("11.08")


def test_every_charge_model(rich: Tenant, use: Use) -> None:
    use(rich, "1", "25", model="H100")
    use(rich, "2", 1500, "api_calls")
    rows = sound("2026-07", AUGUST)
    said = [(row["ChargeCategory"], row["PricingQuantity"], row["PricingUnit"], row["BilledCost"]) for row in rows]
    assert ("Usage", "2", "1000 Requests", "1.40") in said
    assert ("Usage", "10", "GPU-Hours", "25.00") in said
    assert ("Usage", "15", "GPU-Hours", "18.75") in said
    assert ("Purchase", "1", "Units", "3.00") in said
    assert ("Adjustment", "", "", "953.25") in said
    assert ("Purchase", "1", "Months", "9.99") in said


def test_an_invoice_with_tax_and_a_credit_note(acme: Tenant, use: Use) -> None:
    rate = TaxRate.objects.create(name="VAT", rate=Decimal("0.081"))
    BillingProfile.objects.create(tenant=acme, tax_rate=rate)
    use(acme, "1", "10.012", model="H100")
    invoice = issue(acme, periods.period_by_key(acme, "2026-07"), AUGUST)
    assert {row["InvoiceId"] for row in sound("2026-07", AUGUST)} == {invoice.number}
    credit(invoice, Money(Decimal("5.00"), "USD"), "goodwill", AUGUST)
    periods.period_by_key(acme, "2026-08")
    rows = [row for row in sound("2026-08", AUGUST) if row["InvoiceId"]]
    assert [(row["ChargeCategory"], row["ChargeClass"], row["BilledCost"]) for row in rows] == [
        ("Credit", "Correction", "-5.00"),
        ("Tax", "Correction", "-0.41"),
    ]


def test_late_usage_is_a_correction_of_its_month(acme: Tenant, use: Use) -> None:
    use(acme, "1", "10", model="H100")
    issue(acme, periods.period_by_key(acme, "2026-07"), AUGUST)
    use(acme, "late", "2", on=datetime(2026, 7, 31, 12, tzinfo=UTC), now=AUGUST, model="H100")
    issue(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)
    (row,) = [row for row in sound("2026-08", SEPTEMBER) if row["ChargeClass"]]
    assert (row["ChargeCategory"], row["BilledCost"], row["x_OriginPeriod"]) == ("Usage", "5.00", "2026-07")
    assert (row["ChargePeriodStart"], row["BillingPeriodStart"]) == ("2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z")


def test_a_name_cannot_become_a_formula(acme: Tenant, use: Use) -> None:
    Tenant.objects.filter(pk=acme.pk).update(name="=HYPERLINK(1)")
    use(acme, "1", "1")
    assert {row["BillingAccountName"] for row in sound("2026-07", AUGUST)} == {"'=HYPERLINK(1)"}


def test_the_commands_write_and_check_a_file(
    acme: Tenant, globex: Tenant, use: Use, tmp_path: Path, capsys: Any
) -> None:
    use(acme, "1", "4", model="H100")
    use(globex, "2", "2")
    invoice = issue(acme, periods.period_by_key(acme, "2026-07"), AUGUST)
    file = tmp_path / "focus.csv"
    call_command("export_focus", "2026-07", "--tenant", "acme", "--output", str(file))
    assert {row["BillingAccountId"] for row in table(file.read_text())[1]} == {"acme"}
    call_command("validate_focus", str(file))
    assert "1 rows keep the rules of FOCUS 1.2" in capsys.readouterr().out
    file.write_text(file.read_text().replace("10.00", "11.00"))
    with pytest.raises(CommandError, match="breaches"):
        call_command("validate_focus", str(file))
    assert f"{invoice.number} came to 10.00" in capsys.readouterr().out.replace("10.000", "10.00")  # fmt: skip


@pytest.mark.parametrize("month", ["2026-13", "07-2026", "9999-01"])
def test_a_month_that_cannot_be_is_said(db: None, month: str) -> None:
    with pytest.raises(CommandError):
        call_command("export_focus", month)
