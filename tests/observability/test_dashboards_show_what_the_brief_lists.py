"""Each dashboard has exactly its panels, and each panel has what a reader needs: unit, description, runbook, a place."""

import pytest

from infra.observability.as_code.__main__ import OPERATORS, TENANTS
from infra.observability.as_code.grafana import dashboard_json
from infra.observability.as_code.known import ROOT
from portal import grafana

TITLES = {
    "api-performance": [
        "Request rate by endpoint", "Latency p95 and p99", "Error rate", "Active connections", "Status codes", "Rate-limit hits",
        "Service-to-service latency", "Database query performance", "Cache hit rate", "Traces",
    ],
    "job-queues": [
        "Active workers", "Queue depth by name", "Tasks running", "Task success rate", "Throughput", "Task duration p95 and p99",
        "Queue length over time", "Failed tasks", "Retry rate", "Worker memory", "Worker CPU", "Indexing job progress",
        "ML inference queue depth", "Image processing queue depth",
    ],
    "gpu-costs": [
        "GPU utilization", "GPU memory", "GPU temperature", "Power draw", "Inference batch size", "API calls this month",
        "Storage this month", "GPU this month", "Total this month", "Cost by tenant", "Cost projection", "Tenant quota usage",
        "GPU hours by model", "Budget alerts", "Cost per API call", "Cost per inference",
    ],
}  # fmt: skip
DOCUMENTS = {each.uid: dashboard_json(each) for each in (*OPERATORS, *TENANTS)}
PANELS = [(uid, panel) for uid, document in DOCUMENTS.items() for panel in document["panels"]]
IDS = [f"{uid}-{panel['id']}" for uid, panel in PANELS]


@pytest.mark.parametrize("uid", TITLES)
def test_exactly_these_panels_in_this_order(uid):
    assert [panel["title"] for panel in DOCUMENTS[uid]["panels"]] == TITLES[uid]
    assert [panel["id"] for panel in DOCUMENTS[uid]["panels"]] == list(range(1, len(TITLES[uid]) + 1))


@pytest.mark.parametrize("uid", DOCUMENTS)
def test_refreshed_every_30_seconds_and_not_edited_in_place(uid):
    assert DOCUMENTS[uid]["refresh"] == "30s"
    assert DOCUMENTS[uid]["editable"] is False


@pytest.mark.parametrize(("uid", "panel"), PANELS, ids=IDS)
def test_a_panel_says_what_it_shows_and_in_which_unit(uid, panel):
    assert len(panel["description"]) > 20
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["noValue"] == "no data"
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs) > 0


@pytest.mark.parametrize("uid", DOCUMENTS)
def test_panels_do_not_overlap_and_stay_on_the_grid(uid):
    taken = set()
    for panel in DOCUMENTS[uid]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_runbook_that_a_panel_links_to_exists():
    linked = {link["url"] for _, panel in PANELS for link in panel.get("links", []) if link["title"] == "Runbook"}
    assert linked
    assert [url for url in linked if not (ROOT / "docs" / url.lstrip("/")).is_file()] == []


@pytest.mark.parametrize("uid", TITLES)
def test_each_panel_of_the_brief_links_to_a_runbook_or_to_traces(uid):
    assert [panel["title"] for panel in DOCUMENTS[uid]["panels"] if not panel["links"]] == []


def test_thresholds_of_the_brief():
    def steps(uid, number):
        panel = DOCUMENTS[uid]["panels"][number - 1]
        return [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]]

    assert steps("gpu-costs", 9) == [5000, 10000]
    assert steps("gpu-costs", 2) == [0.9]
    assert steps("job-queues", 7) == [1000]
    assert steps("job-queues", 2)[-1] == 1000
    assert steps("api-performance", 9)


def test_the_slots_of_the_admin_name_panels_that_exist():
    for name, slot in grafana.OPERATOR_PANELS.items():
        assert any(panel["id"] == slot.number for panel in DOCUMENTS[slot.dashboard]["panels"]), name
