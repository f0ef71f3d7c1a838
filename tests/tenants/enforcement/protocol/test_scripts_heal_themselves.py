from __future__ import annotations

from ..stage import Stage


def test_script_flush_is_healed_within_the_call(stage: Stage) -> None:
    stage.tenant()
    enforcer, text = stage.enforcer(), stage.key()
    assert enforcer.consume(text).used == 1
    stage.command("SCRIPT", "FLUSH")
    assert enforcer.consume(text).used == 2


def test_control_scripts_heal_too(stage: Stage) -> None:
    tenant = stage.tenant()
    stage.command("SCRIPT", "FLUSH")
    assert stage.publish(tenant)
