"""The flusher is killed (kill -9) at each of its steps in turn, while calls go on; in the end the bill equals what was admitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenants.enforcement.counting import flushing, ledger
from tenants.enforcement.redis.connection import Connection

from ..conftest import House


class Killed(BaseException):
    """Nothing runs after it, as after SIGKILL: no handler catches it."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, house: House) -> Iterator[None]:
    """Die before the n-th effect (a read from Redis, a write to the ledger, a trim), counting from 1."""
    count = 0

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def action(*args: Any, **values: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                raise Killed
            return real(*args, **values)

        return action

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "pipeline", dying(Connection.pipeline))
        patch.setattr(Connection, "script", dying(Connection.script))
        patch.setattr(house.ledger, "record_redis_counts", dying(house.ledger.record_redis_counts))
        patch.setattr(house.ledger, "record_process_counts", dying(house.ledger.record_process_counts))
        yield


def test_killed_at_every_step(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = house.key()
    admitted = killed = 0
    for step in range(1, 12):
        for _ in range(3):
            admitted += house.enforcer.consume(text).allowed
        with killed_at(step, monkeypatch, house):
            try:
                flushing.flush(datetime.now(UTC) + timedelta(days=2))  # late enough for trimming to be a step
                house.counts.flush(ledger.current().record_process_counts)
            except Killed:
                killed += 1
    assert killed >= 4
    flushing.flush(datetime.now(UTC))
    house.counts.flush(ledger.current().record_process_counts)
    assert house.ledger.billed(house.acme.pk) == admitted == 33


def test_a_process_killed_before_its_flush_is_billed_by_what_redis_counted(house: House) -> None:
    text, _ = house.key()
    for _ in range(5):
        house.enforcer.consume(text)
    house.restart_process()  # its counters are gone
    for _ in range(2):
        house.enforcer.consume(text)
    house.counts.flush(ledger.current().record_process_counts)
    flushing.flush(datetime.now(UTC))
    assert house.ledger.billed(house.acme.pk) == 7


def test_trimming_takes_only_what_is_written_and_unchanged(house: House) -> None:
    text, _ = house.key()
    house.enforcer.consume(text)
    later = datetime.now(UTC) + timedelta(hours=4)
    real = house.ledger.record_redis_counts

    def count_on_while_writing(rows: Any) -> None:
        real(rows)
        house.enforcer.consume(text)

    house.ledger.record_redis_counts = count_on_while_writing  # type: ignore[method-assign]
    flushing.flush(later)
    house.ledger.record_redis_counts = real  # type: ignore[method-assign]
    assert house.enforcer.consume(text).used == 3
    flushing.flush(later)
    assert house.ledger.billed(house.acme.pk) == 3


def test_two_flushers_at_once_double_nothing(house: House) -> None:
    text, _ = house.key()
    for _ in range(4):
        house.enforcer.consume(text)
    for _ in range(3):
        flushing.flush(datetime.now(UTC), [(house.acme.pk, "acme"), (house.acme.pk, "acme")])
    assert house.ledger.billed(house.acme.pk) == 4
