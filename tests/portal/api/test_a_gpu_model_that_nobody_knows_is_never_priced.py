from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metering.models import GpuDevice, Reservation
from tests.portal.api.calling import Callers, problem

JOB = {"gpus": 1, "gpu_model": "NOPE", "expected_hours": "1"}


@pytest.mark.parametrize("route", ["estimates", "reservations"])
def test_it_is_refused_with_the_known_ones(callers: Callers, route: str) -> None:
    body = problem(callers.key("service").post(route, JOB), 400, "validation_error")
    [error] = body["errors"]
    assert (error["pointer"], error["code"]) == ("/gpu_model", "unknown_model")
    assert all(name in error["detail"] for name in ("NOPE", "A100", "H100"))
    assert not Reservation.objects.exists()


def test_names_are_compared_as_written(callers: Callers) -> None:
    problem(callers.key("service").post("estimates", JOB | {"gpu_model": "h100"}), 400, "validation_error")


def test_a_model_of_the_fleet_is_known_and_one_without_a_name_is_not(callers: Callers, settings: Any) -> None:
    settings.GPU_MODELS = []
    key = callers.key("service")
    for index, model in enumerate(["NOPE", "unknown"]):
        GpuDevice.objects.create(node="n", uuid=f"GPU-{index}", name=model, model=model, fraction=Decimal(1))
    assert key.post("estimates", JOB).json()["amount"] == "2.50"
    body = problem(key.post("estimates", JOB | {"gpu_model": "unknown"}), 400, "validation_error")
    assert body["errors"][0]["detail"] == "No GPU model is called 'unknown'. Known are NOPE."
