from __future__ import annotations

from django.urls import reverse

from metering.models import Meter
from tests.tenants.cast import Cast

from .conftest import Browse, form_values


def test_a_meter_is_added_with_its_units(cast: Cast, browse: Browse) -> None:
    values = {
        "key": "inferences", "name": "Inferences", "aggregation": "sum", "position": "9", "event_types": '{"inferences": 1}',
        "base_unit": "inference", "display_unit": "inference", "display_factor": "1", "billing_unit": "inference", "audit_reason": "new service",
    }  # fmt: skip
    assert browse("olivia").post(reverse("admin:metering_meter_add"), values).status_code == 302
    assert Meter.objects.get(key="inferences").event_types == {"inferences": 1}


def test_what_was_recorded_keeps_its_meaning(cast: Cast, browse: Browse) -> None:
    olivia, url = browse("olivia"), reverse("admin:metering_meter_change", args=["gpu_hours"])
    values = form_values(olivia.get(url))
    answer = olivia.post(url, {**values, "name": "GPU time", "display_factor": "60", "key": "gpu", "audit_reason": "x"})
    assert answer.status_code == 302
    meter = Meter.objects.get(key="gpu_hours")
    assert (meter.name, meter.display_factor) == ("GPU time", 3600)
