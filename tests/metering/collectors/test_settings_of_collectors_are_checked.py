from __future__ import annotations

from pathlib import Path

import pytest

from metering import checks
from metering.collectors import config
from metering.collectors.gpus.nvml import NvmlCollector
from metering.collectors.storage.filesystem import FilesystemCollector

GOOD = [
    {"name": "gpus", "kind": "nvml"},
    {
        "name": "gpus-2", "kind": "nvml", "node": "node-2", "interval": 30, "timeout": 10, "max_gap": 90, "environment": "",
        "proc": "/host/proc", "models": {"NVIDIA H100 PCIe": "H100-PCIE"},
    },
    {"name": "volumes", "kind": "filesystem", "root": "/srv/tenants"},
    {
        "name": "archive", "kind": "filesystem", "root": "/srv/archive", "volume": "archive", "measure": "apparent", "require_mount": True,
        "interval": 3600, "timeout": 500,
    },
]  # fmt: skip


def found(settings, *entries):
    settings.COLLECTORS = list(entries)
    return [(message.id, message.msg) for message in checks.collectors()]


def test_good_settings_have_no_finding(settings):
    assert found(settings, *GOOD) == []


def test_good_settings_can_be_built():
    built = [config.build(entry, node="n", tenants={"acme"}, assigned=(), memory={}) for entry in GOOD]

    assert isinstance(built[1], NvmlCollector)
    assert (built[1].interval_seconds, built[1].timeout_seconds, built[1].max_gap_seconds) == (30, 10, 90)
    assert built[1].proc == Path("/host/proc")
    assert isinstance(built[3], FilesystemCollector)
    assert (built[3].root, built[3].measure, built[3].require_mount) == (Path("/srv/archive"), "apparent", True)


def test_the_longest_gap_follows_the_interval():
    built = config.build({"name": "g", "kind": "nvml", "interval": 20}, node="n", tenants=(), assigned=(), memory={})

    assert isinstance(built, NvmlCollector)
    assert built.max_gap_seconds == 60


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "GPUs"}, "name = 'GPUs'"),
        ({"name": "a" * 41}, "up to 40"),
        ({"kind": "tpu"}, "is not one of nvml, amd, prometheus, filesystem, s3, postgresql"),
        ({"interval": 4}, "from 5 to 86400"),
        ({"interval": "60"}, "interval = '60'"),
        ({"interval": True}, "interval = True"),
        ({"interval": 1e400}, "interval = inf"),
        ({"timeout": 0}, "from 1 to 500"),
        ({"timeout": 501}, "from 1 to 500"),
        ({"max_gap": -1}, "max_gap = -1"),
        ({"environment": "A=B"}, "is not the name of a variable"),
        ({"environment": None}, "is not the name of a variable"),
        ({"proc": "proc"}, "is not an absolute path"),
        ({"models": ["H100"]}, "is not an object such as"),
        ({"models": {"NVIDIA H100": ""}}, "is not an object such as"),
    ],
)
def test_a_wrong_field_is_named_with_what_it_should_be(settings, change, says):
    ((number, text),) = found(settings, {"name": "gpus", "kind": "nvml"} | change)

    assert number == "metering.E001"
    assert says in text


@pytest.mark.parametrize("root", ["srv", "", 7, "/srv\0", ["/srv"]])
def test_a_root_is_an_absolute_path(settings, root):
    ((number, text),) = found(settings, {"name": "volumes", "kind": "filesystem", "root": root})

    assert (number, "is not an absolute path" in text) == ("metering.E001", True)


def test_a_missing_root_is_told(settings):
    assert found(settings, {"name": "volumes", "kind": "filesystem"}) == [
        ("metering.E001", "COLLECTORS entry 1 has no 'root'.")
    ]


def test_a_misspelt_field_is_told(settings):
    ((number, text),) = found(settings, {"name": "gpus", "kind": "nvml", "intervall": 60})

    assert (number, text) == ("metering.E002", "COLLECTORS entry 1 has the unknown field 'intervall'.")


@pytest.mark.parametrize("settings_value", [None, {}, "x", [1], [{}], [{"name": 1, "kind": []}]])
def test_what_the_portal_check_tells_is_not_told_twice(settings, settings_value):
    settings.COLLECTORS = settings_value

    assert checks.collectors() == []
