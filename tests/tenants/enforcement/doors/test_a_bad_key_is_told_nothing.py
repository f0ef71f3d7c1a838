from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tenants.decisions import headers, problem

from ..stage import Stage


@pytest.fixture
def good(stage: Stage) -> bytes:
    stage.tenant()
    return stage.key()


def variants(stage: Stage, good: bytes) -> dict[str, bytes]:
    revoked = stage.key()
    stage.revoke(revoked)
    return {
        "another secret": good[:-6] + b"AAAAAA",
        "revoked": revoked,
        "expired": stage.key(expires_at=datetime.now(UTC) - timedelta(days=1)),
        "unknown id": good.replace(good.split(b"_")[3], b"a" * 16),
        "another tenant's slug": good.replace(b"_acme_", b"_globex_"),
        "empty": b"",
        "noise": b"\x00\xff gpk_test_acme",
        "upper-case slug": good.replace(b"_acme_", b"_ACME_"),
        "trailing newline": good + b"\n",
        "very long": good + b"A" * 5_000,
        "operator form": b"gpo_test_" + b"a" * 16 + b"_" + b"A" * 43,
        "hash tag in the slug": good.replace(b"_acme_", b"_{acme}_"),
    }


def test_every_bad_key_gets_the_same_answer(stage: Stage, good: bytes) -> None:
    stage.tenant("globex")
    stage.tenant("platform", quota=None)
    enforcer = stage.enforcer()
    assert enforcer.consume(good).allowed
    answers = {}
    for name, text in variants(stage, good).items():
        decision = enforcer.consume(text)
        answers[name] = (decision.code, problem(decision), headers(decision))
    assert all(
        answer == ("invalid_key", answers["revoked"][1], answers["revoked"][2]) for answer in answers.values()
    ), answers
    assert answers["revoked"][1]["status"] == 401


def test_all_well_formed_bad_keys_cost_one_round_trip(stage: Stage, good: bytes) -> None:
    enforcer = stage.enforcer()
    enforcer.consume(good)
    bad = variants(stage, good)

    def reads() -> int:
        text = stage.command("INFO", "stats").decode()
        return int(text.split("total_reads_processed:")[1].split()[0])

    for name in ("another secret", "revoked", "expired", "unknown id"):
        stage.command("PING")
        before = reads()
        enforcer.consume(bad[name])
        own = 2  # the PING of our connection, and the INFO itself
        assert reads() - before == 1 + own, name


def test_the_digest_is_computed_for_malformed_texts_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from tenants.enforcement.protocol import keys

    computed = []
    real = keys.digest
    monkeypatch.setattr(keys, "digest", lambda text, pepper: computed.append(text) or real(text, pepper))
    stage.tenant()
    for text in (b"", b"nonsense", stage.key()[:-1], b"x" * 1_000):
        computed.clear()
        stage.enforcer().consume(text)
        assert len(computed) == 1
