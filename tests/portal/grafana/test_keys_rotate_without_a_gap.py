"""A new key is published an hour before it signs; one that no longer signs stays until its last token has long expired."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from django.core.management import CommandError, call_command

from portal import grafana_keys

NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)


def signs(folder: Path, at: datetime) -> str:
    key = grafana_keys.signing_key(grafana_keys.read(folder), at)
    assert key is not None
    return key.kid


def test_the_first_key_signs_at_once(tmp_path: Path) -> None:
    assert grafana_keys.signing_key([], NOW) is None
    first = grafana_keys.make(tmp_path, NOW)
    assert signs(tmp_path, NOW) == first


def test_the_next_one_signs_an_hour_later(tmp_path: Path) -> None:
    first = grafana_keys.make(tmp_path, NOW - timedelta(days=30))
    second = grafana_keys.make(tmp_path, NOW)
    assert signs(tmp_path, NOW + timedelta(minutes=59)) == first
    assert signs(tmp_path, NOW + timedelta(minutes=60)) == second
    published = {key["kid"] for key in json.loads(grafana_keys.jwks(grafana_keys.read(tmp_path)))["keys"]}
    assert published == {first, second}


def test_the_old_one_goes_when_nothing_of_it_can_be_valid(tmp_path: Path) -> None:
    first = grafana_keys.make(tmp_path, NOW - timedelta(days=30))
    grafana_keys.make(tmp_path, NOW)
    assert grafana_keys.retire(tmp_path, NOW + timedelta(hours=2)) == []
    assert grafana_keys.retire(tmp_path, NOW + timedelta(hours=3)) == [first]
    assert len(grafana_keys.read(tmp_path)) == 1


def test_only_public_halves_are_published(tmp_path: Path) -> None:
    call_command("grafana_keys", f"--keys={tmp_path / 'keys'}", f"--jwks={tmp_path / 'jwks.json'}", verbosity=0)
    (key,) = json.loads((tmp_path / "jwks.json").read_text())["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    (pem,) = (tmp_path / "keys").glob("*.pem")
    assert pem.stat().st_mode & 0o007 == 0
    private = grafana_keys.read(tmp_path / "keys")[0].private
    token = jwt.encode({"sub": "acme"}, private, algorithm="ES256")
    assert jwt.decode(token, jwt.PyJWK(key).key, algorithms=["ES256"]) == {"sub": "acme"}


def test_a_second_run_keeps_the_key_and_a_rotation_adds_one(tmp_path: Path) -> None:
    for more, count in (([], 1), ([], 1), (["--rotate"], 2)):
        call_command("grafana_keys", f"--keys={tmp_path / 'keys'}", f"--jwks={tmp_path / 'jwks.json'}", *more)
        assert len(json.loads((tmp_path / "jwks.json").read_text())["keys"]) == count


def test_without_a_folder_it_says_what_to_set(tmp_path: Path, settings: object) -> None:
    with pytest.raises(CommandError, match="GRAFANA_KEYS_DIR"):
        call_command("grafana_keys", "--keys=", f"--jwks={tmp_path / 'jwks.json'}")
