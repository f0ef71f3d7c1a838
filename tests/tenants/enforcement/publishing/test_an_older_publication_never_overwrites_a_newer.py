from __future__ import annotations

from tenants.enforcement.protocol import keys, wire
from tenants.enforcement.protocol.scripts import PUBLISH

from ..stage import TTL, Stage


def test_an_older_publication_never_overwrites_a_newer(stage: Stage) -> None:
    tenant = stage.tenant(windows={"minute": 10})
    text = stage.key()
    tenant.version += 1
    slow = stage.policy(tenant)  # read before the change, sent after it
    tenant.windows["minute"] = 20
    stage.publish(tenant)
    assert stage.connection.script(PUBLISH, keys.tenant_key("acme"), slow, TTL) == 0
    assert stage.enforcer().consume(text).windows[0].limit == 20
    assert wire.policy_version(stage.command("HGET", keys.tenant_key("acme"), "p")) == tenant.version


def test_a_changed_limit_is_in_force_on_the_next_call(stage: Stage) -> None:
    tenant = stage.tenant(windows={"minute": 1})
    enforcer, text = stage.enforcer(), stage.key()
    assert [enforcer.consume(text).allowed for _ in range(2)] == [True, False]
    tenant.windows["minute"] = 3
    stage.publish(tenant)
    assert [enforcer.consume(text).allowed for _ in range(3)] == [True, True, False]


def test_a_revoked_key_is_refused_on_the_next_call(stage: Stage) -> None:
    stage.tenant()
    enforcer, text = stage.enforcer(), stage.key()
    assert enforcer.consume(text).allowed
    stage.revoke(text)
    assert enforcer.consume(text).code == "invalid_key"
