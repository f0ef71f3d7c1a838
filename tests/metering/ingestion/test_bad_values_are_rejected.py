from __future__ import annotations

from decimal import Decimal

import pytest

from metering.ledger.event_parsing import EventError, EventParser, EventType
from tests.metering.conftest import NOW
from tests.metering.events import event

TYPES = {
    "gpu_hours": EventType("gpu_hours", 3600, 3600),
    "gpu_seconds": EventType("gpu_hours", 1, 3600),
    "api_calls": EventType("api_calls", 1, 1),
}
GOOD = event("a", NOW)


def parse(body):
    return EventParser(TYPES, "acme").parse(body)


def code_of(body) -> str:
    with pytest.raises(EventError) as caught:
        parse(body)
    assert caught.value.detail.endswith(".")
    return caught.value.code


@pytest.mark.parametrize(
    "quantity",
    [
        "NaN", "Infinity", "-Infinity", "1e400", "1e31", "1" * 31, "1_000", "１２", "0x10", "1,5", " 1", "1 ", "+1", "", "-0", "1e-400",
        "true", "0.0000001", "9" * 5000, True, False, None, [], {}, [1], float("nan"), float("inf"), 1e-7, Decimal("NaN"), Decimal("sNaN"),
        Decimal("Infinity"), Decimal("1E+999999"), Decimal("1E-999999"),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_what_is_no_number_of_a_sensible_size(quantity):
    assert code_of(event("a", NOW, quantity, type="api_calls")) == "invalid_quantity"


@pytest.mark.parametrize(
    "quantity", [10**30, 10**10, "10000000000", 1e22, int("9" * 4000)], ids=lambda value: repr(value)[:20]
)
def test_more_than_a_billion_units_at_once(quantity):
    assert code_of(event("a", NOW, quantity, type="api_calls")) == "quantity_too_large"


@pytest.mark.parametrize("quantity", [-1, "-0.5", -2.5])
def test_negative_without_a_correction(quantity):
    assert code_of(event("a", NOW, quantity)) == "negative_quantity"


@pytest.mark.parametrize(
    ("quantity", "micro"),
    [
        (0, 0), ("0", 0), (0.0, 0), (-0.0, 0), (1, 3_600_000_000), ("0.5", 1_800_000_000), (0.5, 1_800_000_000), ("1e-7", 360),
        (Decimal("2.5"), 9_000_000_000), ("0.333333333333", 1_200_000_000), (1 / 3, 1_200_000_000),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_of_any_notation_are_exact_to_a_millionth(quantity, micro):
    assert parse(event("a", NOW, quantity, type="gpu_hours")).quantity_micro == micro


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("2026-07-15T12:00:00", "naive_time"),
        ("2026-07-15", "invalid_time"),
        ("2026-07-15T25:00:00Z", "invalid_time"),
        ("2026-07-15T12:00:60Z", "invalid_time"),
        ("2026-02-30T12:00:00Z", "invalid_time"),
        ("2026-W29-3T12:00:00Z", "invalid_time"),
        ("２０２６-07-15T12:00:00Z", "invalid_time"),
        ("0001-01-01T00:00:00+14:00", "invalid_time"),
        ("9999-12-31T23:59:59-14:00", "invalid_time"),
        ("1784116800000", "invalid_time"),
        (1784116800000, "invalid_time"),
        (None, "invalid_time"),
        (True, "invalid_time"),
        ("", "invalid_time"),
    ],
)
def test_times_that_are_none(time, code):
    assert code_of({**GOOD, "time": time}) == code


@pytest.mark.parametrize("name", ["id", "source"])
@pytest.mark.parametrize(
    "value",
    [None, "", 1, True, [], "x" * 201, "a\0b", "a\nb", "a\r\nb", "\ud800", "a\u202eb", "a\u200bb", "a\u00a0b", "\x7f"],
    ids=repr,
)
def test_texts_that_nobody_should_see(name, value):
    assert code_of({**GOOD, name: value}) == f"invalid_{name}"


@pytest.mark.parametrize(
    "data",
    [
        {"model": None}, {"model": {}}, {"model": [1]}, {"model": "x" * 121}, {"model": "a\0b"}, {"model": "\ud800"},
        {"model": float("nan")}, {"model": Decimal("1E+999999")}, {"Model": "x"}, {"": "x"}, {"a-b": "x"}, {"_a": "x"}, {"a" * 41: "x"},
        {"мodel": "x"}, {1: "x"}, {"model": int("9" * 40)},
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_dimensions_that_are_none(data):
    assert code_of({**GOOD, "data": {"quantity": 1, **data}}) == "invalid_dimension"


def test_seventeen_dimensions():
    assert code_of(event("a", NOW, 1, **{f"d{number}": "x" for number in range(17)})) == "too_many_dimensions"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"specversion": "0.3"}, "unsupported_version"),
        ({"specversion": None}, "unsupported_version"),
        ({"datacontenttype": "text/xml"}, "unsupported_data"),
        ({"data_base64": "e30="}, "unsupported_data"),
        ({"data": None}, "invalid_data"),
        ({"data": [1]}, "invalid_data"),
        ({"data": "e30="}, "invalid_data"),
        ({"type": None}, "unknown_meter"),
        ({"type": ["gpu_hours"]}, "unknown_meter"),
        ({"type": "GPU_HOURS"}, "unknown_meter"),
        ({"tenant": "globex"}, "wrong_tenant"),
        ({"data": {"quantity": 1, "tenant": "globex"}}, "wrong_tenant"),
        ({"data": {"quantity": 1, "corrects": None}}, "invalid_correction"),
        ({"data": {"quantity": 1, "corrects": {"id": "x"}}}, "invalid_correction"),
        ({"data": {"quantity": 1, "corrects": {"id": "x", "source": "y", "why": "z"}}}, "invalid_correction"),
        ({"data": {"quantity": 1, "corrects": {"id": "", "source": "y"}}}, "invalid_id"),
    ],
)
def test_envelopes_that_say_something_else(change, code):
    assert code_of({**GOOD, **change}) == code


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("x", '"x"'),
        (True, '"true"'),
        (1, '"1"'),
        (1.50, '"1.5"'),
        (Decimal("1E2"), '"100"'),
        (-0.0, '"0"'),
        ("e\u0301", '"é"'),
    ],
)
def test_dimensions_become_texts(value, stored):
    assert parse(event("a", NOW, 1, model=value)).dims_json == f'{{"model":{stored}}}'


def test_own_tenant_may_be_named_and_is_no_dimension():
    assert parse({**event("a", NOW, 1, tenant="acme"), "tenant": "acme"}).dims_json == "{}"
