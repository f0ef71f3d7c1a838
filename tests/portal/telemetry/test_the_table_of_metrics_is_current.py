"""docs/metrics.md is what the product exports. To renew it: make docs-metrics."""

from __future__ import annotations

import os
import re

import pytest

from metering import metrics
from portal.telemetry import catalogue
from tests.portal.telemetry.conftest import ROOT

DOCUMENT = ROOT / "docs" / "metrics.md"


@pytest.fixture
def rows(db):
    return catalogue.rows(metrics.DatabaseMetrics().collect())


def test_the_document_says_what_is_there(rows):
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(catalogue.document(rows))
    assert DOCUMENT.read_text() == catalogue.document(rows), "run: make docs-metrics"


def test_names_are_by_the_book(rows):
    assert len(rows) > 50
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert re.fullmatch(r"portal_[a-z][a-z0-9_]*[a-z0-9]", row.name), row
        assert row.name.endswith("_total") == (row.type == "counter"), row
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|gb|percent)(_|$)", row.name), f"base units: {row}"
        assert len(row.text) > 3, row
        assert row.text.rstrip().endswith("."), row


def test_no_histogram_has_a_tenant(rows):
    assert [row.name for row in rows if row.type == "histogram" and "tenant" in row.labels] == []


def test_every_name_of_the_dashboards_is_there(rows):
    known = {row.name for row in rows}
    used = {
        name.removesuffix(ending)
        for path in (ROOT / "infra" / "observability" / "dashboards").glob("*.json")
        for name in re.findall(r"\bportal_[a-z0-9_]+", path.read_text())
        for ending in [next((end for end in ("_bucket", "_sum", "_count") if name.endswith(end)), "")]
    }
    assert sorted(name for name in used - known if not name.startswith("portal_slo")) == []
