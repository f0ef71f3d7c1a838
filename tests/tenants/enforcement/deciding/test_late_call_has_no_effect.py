from __future__ import annotations

import time

from ..stage import Stage


def test_a_call_whose_deadline_has_passed_has_no_effect(stage: Stage) -> None:
    stage.tenant()
    enforcer, text = stage.enforcer(), stage.key()
    assert enforcer.consume(text).allowed
    before = stage.snapshot()
    connection = enforcer.redis.connection()
    known = enforcer.recognise(text)
    assert known
    command = known.call(enforcer.config, 1, "default", 0).command
    connection.timeout = -1.0  # a budget that ended a second ago
    assert connection.decide(command)[0] == 8
    assert stage.snapshot() == before


def test_a_clock_that_was_set_forward_is_believed_and_the_call_asked_again(stage: Stage) -> None:
    stage.tenant()
    enforcer, text = stage.enforcer(), stage.key()
    enforcer.consume(text)
    clock = enforcer.redis.connection().clock
    clock.set(int((time.time() - 3_600) * 1000), time.monotonic())  # as if Redis had jumped ahead by an hour
    assert enforcer.consume(text).used == 2
