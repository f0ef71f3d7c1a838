from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from portal.templatetags import portal_ui
from portal.web.drawing.charts import Chart, Series, palette
from portal.web.writing import formats


def chart(*series: Series, total: bool = True) -> Chart:
    return Chart(
        "c",
        "Cost by day",
        "bar",
        ["2026-11-01", "2026-11-02", "2026-11-03"],
        ["Nov 1", "Nov 2", "Nov 3"],
        series,
        lambda value: formats.money(value, "USD"),
        "Day",
        total=total,
    )


def test_the_table_has_every_number_of_the_picture() -> None:
    drawn = chart(
        Series("API calls", "meter-api_calls", [Decimal("1.50"), Decimal(0), None]),
        Series("GPU hours", "meter-gpu_hours", [Decimal(2), Decimal(3), None]),
    )
    assert drawn.table.rows == [["Nov 1", "$1.50", "$2.00"], ["Nov 2", "$0.00", "$3.00"], ["Nov 3", "–", "–"]]
    assert drawn.table.footer == ["$1.50", "$5.00"]
    assert [series["values"] for series in drawn.config["series"]] == [[1.5, 0.0, None], [2.0, 3.0, None]]
    assert drawn.config["series"][0]["text"] == ["$1.50", "$0.00", ""]


def test_a_gap_is_not_a_zero() -> None:
    assert (
        chart(Series("Storage", "meter-storage_gb", [None, Decimal(4), None])).config["series"][0]["values"][0] is None
    )


def test_levels_are_not_added_up() -> None:
    assert chart(Series("Storage", "meter-storage_gb", [Decimal(4)] * 3), total=False).table.footer == []


def test_nothing_but_zeros_is_empty() -> None:
    assert chart(Series("x", "series-1", [Decimal(0), None, None])).is_empty
    assert not chart(Series("x", "series-1", [Decimal(0), Decimal("0.001"), None])).is_empty


def test_later_groups_share_the_neutral_colour() -> None:
    assert [palette(index) for index in (0, 6, 7, 30)] == ["series-1", "series-7", "series-8", "series-8"]


def test_the_config_cannot_end_the_script_it_stands_in() -> None:
    from django.utils.html import json_script

    text = json_script(chart(Series("</script><script>alert(1)</script>", "series-1", [Decimal(1)] * 3)).config, "c")
    assert text.count("</script>") == 1


def test_the_sum_stands_under_the_table() -> None:
    table = chart(Series("API calls", "meter-api_calls", [Decimal("1.50"), Decimal(2), None])).table
    html = portal_ui.table_rows(table)
    assert '<tfoot><tr><th scope="row">Total</th><td class="r">$3.50</td></tr></tfoot>' in html
    assert html.count("<tr>") == 5
    assert "&lt;b&gt;" in portal_ui.table_rows(replace(table, rows=[["<b>", "1"]])), "cells are text"
