from __future__ import annotations

from typing import Any

import psycopg.errors
import pytest
from django.db import OperationalError
from django.http import HttpResponse

from tenants.api.views import ATTEMPTS, _patiently


class Losing:
    """A write that loses `times` times, with that SQL state."""

    def __init__(self, times: int, cause: Exception) -> None:
        self.left, self.calls, self.cause = times, 0, cause

    def __call__(self) -> HttpResponse:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise OperationalError(str(self.cause)) from self.cause
        return HttpResponse("done")


@pytest.mark.parametrize(
    "cause", [psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable]
)
def test_until_it_wins(cause: type[Exception]) -> None:
    write = Losing(ATTEMPTS - 1, cause("lost"))
    assert _patiently(write).content == b"done"
    assert write.calls == ATTEMPTS


def test_but_not_for_ever() -> None:
    write = Losing(99, psycopg.errors.DeadlockDetected("lost"))
    with pytest.raises(OperationalError):
        _patiently(write)
    assert write.calls == ATTEMPTS


@pytest.mark.parametrize("cause", [psycopg.errors.AdminShutdown("bye"), ConnectionError("refused")])
def test_other_faults_are_told_at_once(cause: Any) -> None:
    write = Losing(99, cause)
    with pytest.raises(OperationalError):
        _patiently(write)
    assert write.calls == 1
