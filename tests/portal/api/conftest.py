"""The API with the fixed cast in front of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.portal.api.calling import Api, Callers
from tests.tenants.cast import Cast


@pytest.fixture
def callers(cast: Cast, django_capture_on_commit_callbacks: Callable[..., Any]) -> Callers:
    return Callers(cast, django_capture_on_commit_callbacks)


@pytest.fixture
def operator(callers: Callers) -> Api:
    return callers.token()
