"""Names that others choose become labels only while they are few and short."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from portal.telemetry import workloads


@pytest.fixture(autouse=True)
def _nothing_seen(monkeypatch):
    monkeypatch.setattr(workloads, "_seen", {"model": set(), "index": set()})


@pytest.mark.parametrize("name", ["x" * 65, "x" * 1_000_000, "a\nb", "a\0", "\u202e"])
def test_what_is_no_name_is_other(name):
    assert workloads.bounded("model", name) == "other"


def test_one_name_too_many_is_other():
    names = [f"model-{number}" for number in range(workloads.MOST)]
    assert [workloads.bounded("model", name) for name in names] == names
    assert workloads.bounded("model", "one-more") == "other"
    assert workloads.bounded("model", "model-7") == "model-7"
    assert workloads.bounded("index", "one-more") == "one-more"


def test_services_report_their_work():
    before = REGISTRY.get_sample_value("portal_inference_batch_size_sum", {"model": "seg"}) or 0
    with workloads.inference("seg", batch_size=8):
        pass
    workloads.indexing("studies", processed=3, expected=9)
    with pytest.raises(ValueError, match="failed"), workloads.search("semantic"):
        raise ValueError("failed")
    assert REGISTRY.get_sample_value("portal_inference_batch_size_sum", {"model": "seg"}) == before + 8
    assert REGISTRY.get_sample_value("portal_indexing_documents_expected", {"index": "studies"}) == 9
    assert REGISTRY.get_sample_value("portal_search_duration_seconds_count", {"kind": "semantic"}) is None


def test_a_kind_of_search_is_one_of_three():
    with workloads.search("'; drop table"):
        pass
    assert REGISTRY.get_sample_value("portal_search_duration_seconds_count", {"kind": "other"}) >= 1
