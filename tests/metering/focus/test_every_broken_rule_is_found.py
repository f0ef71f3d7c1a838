from __future__ import annotations

from typing import Any

import pytest

from metering.focus.columns import MANDATORY

from .files import CREDIT, DOCUMENTS, TAX, USAGE, check


def test_a_sound_file_passes() -> None:
    assert check(USAGE, TAX, CREDIT) == []


@pytest.mark.parametrize("column", MANDATORY)
def test_a_mandatory_column_must_be_there(column: str) -> None:
    assert [(each.rule, each.column) for each in check(USAGE, TAX, CREDIT, without=[column])] == [
        ("missing-column", column)
    ]


USAGE_CASES: list[tuple[str, dict[str, Any]]] = [
    ("null", {"BilledCost": ""}),
    ("null", {"BillingAccountId": " "}),
    ("null", {"ChargeFrequency": ""}),
    ("null", {"ServiceName": ""}),
    ("blank", {"BillingAccountName": "  "}),
    ("type-decimal", {"EffectiveCost": "$25"}),
    ("type-decimal", {"EffectiveCost": "1,000"}),
    ("type-decimal", {"EffectiveCost": "+25"}),
    ("type-decimal", {"EffectiveCost": "2.5E+1"}),
    ("type-decimal", {"EffectiveCost": "NaN"}),
    ("negative-price", {"ListUnitPrice": "-2.5", "ListCost": "-25"}),
    ("type-instant", {"ChargePeriodStart": "2026-07-01"}),
    ("type-instant", {"ChargePeriodStart": "2026-07-01T00:00:00+02:00"}),
    ("type-instant", {"ChargePeriodStart": "2026-02-30T00:00:00Z"}),
    ("type-currency", {"BillingCurrency": "usd"}),
    ("type-pairs", {"Tags": "project=mammo"}),
    ("type-pairs", {"Tags": '["mammo"]'}),
    ("type-pairs", {"Tags": '{"project": {"name": "mammo"}}'}),
    ("type-pairs", {"Tags": '{"project": "a", "project": "b"}'}),
    ("sku-property", {"SkuPriceDetails": '{"model": "H100"}'}),
    ("allowed-value", {"ChargeCategory": "Consumption"}),
    ("allowed-value", {"ChargeClass": "Refund"}),
    ("allowed-value", {"PricingCategory": "On-Demand"}),
    ("allowed-value", {"ServiceCategory": "GPUs"}),
    ("subcategory", {"ServiceSubcategory": "Object Storage"}),
    ("frequency", {"ChargeCategory": "Purchase", "ConsumedQuantity": "", "ConsumedUnit": ""}),
    ("price-missing", {"SkuPriceId": "", "SkuPriceDetails": ""}),
    ("price-missing", {"ContractedUnitPrice": ""}),
    ("price-missing", {"PricingQuantity": "", "PricingUnit": ""}),
    ("consumed", {"ConsumedQuantity": "", "ConsumedUnit": ""}),
    ("unit-with-quantity", {"PricingUnit": ""}),
    ("unit-with-quantity", {"ConsumedUnit": ""}),
    ("sku-parts", {"SkuPriceId": "", "ChargeClass": "Correction"}),
    ("period-order", {"BillingPeriodEnd": "2026-07-01T00:00:00Z"}),
    ("period-order", {"ChargePeriodEnd": "2026-06-30T00:00:00Z"}),
    ("cost-product", {"ContractedCost": "25.01"}),
    ("cost-product", {"ListCost": "24"}),
    ("invoice-sum", {"BilledCost": "25.01", "EffectiveCost": "25.01"}),
    ("invoice-unknown", {"InvoiceId": "INV-999999"}),
]


@pytest.mark.parametrize(("rule", "change"), USAGE_CASES)
def test_a_broken_usage_row_is_found(rule: str, change: dict[str, str]) -> None:
    found = check(USAGE | change, TAX, CREDIT)
    assert rule in {each.rule for each in found}
    assert {each.line for each in found if each.rule == rule} <= {0, 2}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("null-for-tax", {"PricingQuantity": "1", "PricingUnit": "Units"}),
        ("null-for-tax", {"SkuId": "tax"}),
        ("consumed", {"ConsumedQuantity": "1", "ConsumedUnit": "Units"}),
        ("service-category", {"ServiceName": "GPU hours"}),
        ("invoice-currency", {"BillingCurrency": "EUR"}),
    ],
)
def test_a_broken_tax_row_is_found(rule: str, change: dict[str, str]) -> None:
    assert rule in {each.rule for each in check(USAGE, TAX | change, CREDIT)}


@pytest.mark.parametrize(
    ("rule", "change"),
    [("cost-alone", {"ContractedCost": "3"}), ("cost-alone", {"ListCost": "3"}), ("effective-cost", {"EffectiveCost": "0"})],
)  # fmt: skip
def test_a_credit_costs_what_it_bills(rule: str, change: dict[str, str]) -> None:
    assert [each.rule for each in check(USAGE, TAX, CREDIT | change)] == [rule]


def test_a_price_belongs_to_one_sku() -> None:
    other = USAGE | {"SkuId": "else", "BilledCost": "0", "EffectiveCost": "0"}
    assert [each.rule for each in check(USAGE, TAX, CREDIT, other)] == ["sku-parent"]


def test_a_column_of_our_own_says_so() -> None:
    assert [each.rule for each in check(*(row | {"Margin": "1"} for row in (USAGE, TAX, CREDIT)))] == [
        "unknown-column", "column-order",
    ][:1]  # fmt: skip
    late = [row | {"RegionId": ""} for row in (USAGE, TAX, CREDIT)]
    assert [each.rule for each in check(*late)] == ["column-order"]


def test_a_missing_document_is_missed() -> None:
    assert DOCUMENTS.keys() == {"INV-000001", "INV-CN-000001"}
    (found,) = check(USAGE, TAX)
    assert (found.rule, "INV-CN-000001" in found.message) == ("invoice-sum", True)


def test_a_row_of_another_width_is_found() -> None:
    from metering.focus.validation import validate

    header = list(USAGE)
    assert [each.rule for each in validate(header, [list(USAGE.values())[:-1]])] == ["width"]
