from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from metering.attribution.policy import Owners

TENANTS = {"acme", "globex"}


def test_a_real_process():
    # A process that has answered is past its exec; before that, the kernel shows an empty environment.
    child = subprocess.Popen(
        ["sh", "-c", "echo ready; read line"],
        env={"PATH": os.environ["PATH"], "PORTAL_TENANT": "acme"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        owner = Owners(proc=Path("/proc"), variable="PORTAL_TENANT", tenants=TENANTS).of(child.pid)
    finally:
        child.kill()
        child.communicate()

    assert owner.tenant == "acme"
    assert owner.age_seconds is not None
    assert 0 <= owner.age_seconds < 30
    assert owner.name.endswith(f"(pid {child.pid})")


def test_a_process_that_is_gone():
    child = subprocess.Popen(["true"])
    child.wait()
    owner = Owners(proc=Path("/proc"), variable="PORTAL_TENANT", tenants=TENANTS).of(child.pid)

    assert (owner.tenant, owner.age_seconds) == (None, None)
    assert owner.why == "the process is gone or in another pid namespace"


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "no PORTAL_TENANT in its environment"),
        ({"PORTAL_TENANT": "initech"}, "PORTAL_TENANT names no tenant: 'initech'"),
        ({"PORTAL_TENANT": ""}, "no PORTAL_TENANT in its environment"),
        ({"PORTAL_TENANT": "acme\n"}, "PORTAL_TENANT names no tenant: 'acme\\n'"),
        ({"NOT_PORTAL_TENANT": "acme"}, "no PORTAL_TENANT in its environment"),
        ({"X": "PORTAL_TENANT=acme"}, "no PORTAL_TENANT in its environment"),
    ],
)
def test_nobody_is_named(proc, environment, why):
    proc.add(11, **environment)
    owner = Owners(proc=proc.root, variable="PORTAL_TENANT", tenants=TENANTS).of(11)

    assert (owner.tenant, owner.why) == (None, why)


def test_environments_are_not_read_where_that_is_switched_off(proc):
    proc.add(11, PORTAL_TENANT="acme")

    assert Owners(proc=proc.root, variable="", tenants=TENANTS).of(11).tenant is None


def test_a_process_name_may_hold_brackets_and_spaces(proc):
    proc.add(11, age=42, name="a) S 1 (b", PORTAL_TENANT="acme")
    owner = Owners(proc=proc.root, variable="PORTAL_TENANT", tenants=TENANTS).of(11)

    assert (owner.age_seconds, owner.name) == (42, "a) S 1 (b (pid 11)")
