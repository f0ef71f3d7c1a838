"""The API with the fixed cast in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.portal.api.calling import Api, Callers, patient_enforcement
from tests.tenants.cast import Cast


@pytest.fixture(autouse=True)
def _patient(settings: Any) -> Iterator[None]:
    with patient_enforcement(settings):
        yield


@pytest.fixture
def callers(cast: Cast, django_capture_on_commit_callbacks: Callable[..., Any]) -> Callers:
    return Callers(cast, django_capture_on_commit_callbacks)


@pytest.fixture
def operator(callers: Callers) -> Api:
    return callers.token()
