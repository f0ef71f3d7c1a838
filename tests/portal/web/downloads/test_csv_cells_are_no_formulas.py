from __future__ import annotations

from decimal import Decimal

import pytest

from portal.web.downloads.files import csv_response


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\tx", "\rx"])
def test_csv_cells_are_no_formulas(text: str) -> None:
    body = csv_response("x.csv", ["name"], [[text]]).content.decode()
    assert body.split("\r\n", 1)[1].lstrip('"').startswith("'")


def test_numbers_stay_numbers() -> None:
    body = csv_response("x.csv", ["a", "b", "c"], [[Decimal("-1.500000"), Decimal("1E+3"), None]]).content.decode()
    assert body == "a,b,c\r\n-1.5,1000,\r\n"
