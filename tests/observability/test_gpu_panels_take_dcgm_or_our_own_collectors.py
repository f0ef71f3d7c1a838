"""A host without dcgm-exporter fills the same panels: each panel asks for the metric of either, and ours are really exposed."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from infra.observability.as_code.known import ROOT
from metering import metrics
from tests.portal.web.gpu_history import device

SAME = {
    "DCGM_FI_DEV_GPU_UTIL": "portal_gpu_utilization_ratio",
    "DCGM_FI_DEV_FB_USED": "portal_gpu_memory_used_bytes",
    "DCGM_FI_DEV_FB_FREE": "portal_gpu_memory_total_bytes",
    "DCGM_FI_DEV_GPU_TEMP": "portal_gpu_temperature_celsius",
    "DCGM_FI_DEV_POWER_USAGE": "portal_gpu_power_watts",
}
READINGS = {
    "utilization_percent": 70, "memory_used_bytes": 1, "memory_total_bytes": 2, "temperature_celsius": 60, "power_watts": 300,
}  # fmt: skip


def panels() -> list[str]:
    """The queries of each panel, on one line."""
    document = json.loads((ROOT / "infra/observability/dashboards/gpu-costs.json").read_text())
    return [" ; ".join(target.get("expr", "") for target in panel.get("targets", ())) for panel in document["panels"]]


@pytest.mark.parametrize(("theirs", "ours"), SAME.items())
def test_either_fills_the_panel(theirs: str, ours: str) -> None:
    found = [panel for panel in panels() if theirs in panel or ours in panel]
    assert found
    assert all(theirs in panel and ours in panel for panel in found), found


@pytest.mark.django_db
def test_ours_are_exposed_under_these_names_with_the_labels_of_dcgm() -> None:
    now = timezone.now()
    device(now, readings=READINGS)
    told = {family.name: family for family in metrics.gpus(now)}
    for name in SAME.values():
        (sample,) = told[name].samples
        assert sample.labels["UUID"] == "GPU-gpu-01-0"
        assert {"gpu", "model", "node"} <= sample.labels.keys()
