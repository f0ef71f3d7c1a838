"""metering.E003 to E005 say what is wrong with where the ledger is kept, and what to set."""

from __future__ import annotations

import pytest

from metering import checks


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({}, []),
        ({"EVENT_STORE": "clickhouse", "CLICKHOUSE_URL": "http://portal:x@clickhouse:8123/portal"}, []),
        ({"EVENT_STORE": "clickhouse", "CLICKHOUSE_URL": ""}, ["metering.E003"]),
        ({"EVENT_STORE": "clickhouse", "CLICKHOUSE_URL": "clickhouse:9000"}, ["metering.E003"]),
        ({"EVENT_STORE": "clickhouse", "CLICKHOUSE_URL": "chdb:///srv/ledger"}, []),
        (
            {"EVENT_STORE": "clickhouse", "CLICKHOUSE_URL": "chdb:///srv/ledger", "PORTAL_ENV": "production"},
            ["metering.E004"],
        ),
        ({"EVENT_STORE": "postgresql", "CLICKHOUSE_URL": "nonsense"}, []),
        ({"LEDGER_KEEP_MONTHS": 2}, ["metering.E005"]),
        ({"LEDGER_KEEP_MONTHS": 3}, []),
    ],
    ids=str,
)
def test_findings(settings, changes, ids):
    if "chdb" in changes.get("CLICKHOUSE_URL", "") and changes.get("PORTAL_ENV") != "production":
        pytest.importorskip("chdb")
    for name, value in changes.items():
        setattr(settings, name, value)
    found = checks.ledger()
    assert [each.id for each in found] == ids
    assert all(each.hint for each in found)
    assert "portal:x" not in "".join(each.msg for each in found)
