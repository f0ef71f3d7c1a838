from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from metering.focus.validation import validate

Browse = Callable[[str], Client]
PAGE = "/t/acme/costs/explorer"


@pytest.mark.parametrize("group", ["meter", "model", "day", "project", "user", "api_key", "route_class"])
def test_every_group_has_a_page(browse: Browse, group: str) -> None:
    response = browse("alice").get(PAGE, {"group_by": group, "meter": "gpu_hours"})
    assert response.status_code == 200
    assert b"Cost explorer" in response.content


@pytest.mark.parametrize("query", ["group_by=tenant", "month=2999-01", "month=July", "format=pdf"])
def test_what_cannot_be_asked_is_not_found(browse: Browse, query: str) -> None:
    assert browse("alice").get(f"{PAGE}?{query}").status_code == 404


@pytest.mark.parametrize("person", ["bob", "victor"])
def test_members_and_viewers_see_no_costs(browse: Browse, person: str) -> None:
    assert browse(person).get(PAGE).status_code == 403
    assert browse(person).get("/t/acme/costs/focus.csv").status_code == 403


def test_its_files_are_tables(browse: Browse) -> None:
    text = browse("alice").get(PAGE, {"format": "csv"}).content.decode()
    header, *rows = csv.reader(io.StringIO(text))
    assert header[:2] == ["month", "meter"]
    assert all(len(row[3].partition(".")[2]) == 2 for row in rows), "amounts keep their two digits"
    assert zipfile.is_zipfile(io.BytesIO(browse("alice").get(PAGE, {"format": "xlsx"}).content))


def test_the_focus_file_keeps_its_rules(browse: Browse) -> None:
    response: Any = browse("carol").get("/t/acme/costs/focus.csv")
    header, *rows = csv.reader(io.StringIO(response.content.decode()))
    assert list(validate(header, rows)) == []
