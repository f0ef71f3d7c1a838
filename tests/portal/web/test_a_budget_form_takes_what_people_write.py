from __future__ import annotations

from decimal import Decimal

import pytest

from portal.web.forms.budget import BudgetForm


def form(**values: str) -> BudgetForm:
    return BudgetForm({"amount": "5000", "thresholds": "80, 90, 100", "recipients": "", **values})


@pytest.mark.parametrize("text", ["80, 90, 100", "100 90 80", "80%,90 %, 100%", "80;90;100", "80,80,90,100"])
def test_thresholds_are_whole_percentages_in_any_writing(text: str) -> None:
    checked = form(thresholds=text)
    assert checked.is_valid(), checked.errors
    assert checked.cleaned_data["thresholds"] == [80, 90, 100]


@pytest.mark.parametrize(
    "text", ["", "80.5", "-80", "0", "1001", "eighty", "８０", "1_0", ",".join(str(each) for each in range(1, 12))]
)
def test_other_thresholds_are_refused(text: str) -> None:
    assert "thresholds" in form(thresholds=text).errors


@pytest.mark.parametrize("text", ["0", "-1", "0.001", "NaN", "Infinity", "1e400", "ten", "1" * 40, ""])
def test_an_amount_is_a_positive_sum_of_money(text: str) -> None:
    assert "amount" in form(amount=text).errors


def test_an_amount_keeps_its_cents() -> None:
    checked = form(amount="1234.56")
    assert checked.is_valid()
    assert checked.cleaned_data["amount"] == Decimal("1234.56")


def test_recipients_are_single_addresses_each_once() -> None:
    checked = form(recipients="a@x.example\nB@x.example, a@x.example")
    assert checked.is_valid(), checked.errors
    assert checked.cleaned_data["recipients"] == ["a@x.example", "b@x.example"]


@pytest.mark.parametrize(
    "text",
    ["a@b, evil", "nobody", "a@x.example\r\nBcc: b@x.example", "\n".join(f"a{each}@x.example" for each in range(21))],
)
def test_other_recipients_are_refused(text: str) -> None:
    assert "recipients" in form(recipients=text).errors
