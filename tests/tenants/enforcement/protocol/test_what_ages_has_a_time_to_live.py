from __future__ import annotations

from ..stage import Stage


def test_every_key_goes_away_by_itself(stage: Stage) -> None:
    stage.tenant()
    enforcer, text = stage.enforcer(), stage.key()
    enforcer.consume(text)
    keys = {key: stage.command("TTL", key) for key in stage.command("KEYS", "*")}
    assert {key[:2] for key in keys} == {b"t:", b"u:", b"q:"}
    assert all(0 < ttl <= 100 * 86_400 for ttl in keys.values()), keys
    user = next(ttl for key, ttl in keys.items() if key.startswith(b"u:"))
    assert 86_400 <= user <= 86_410


def test_a_user_with_only_a_minute_window_is_forgotten_after_it(stage: Stage) -> None:
    stage.tenant(windows={"minute": 60})
    stage.enforcer().consume(stage.key())
    [user] = stage.command("KEYS", "u:*")
    assert 60 <= stage.command("TTL", user) <= 61
