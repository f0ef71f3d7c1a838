"""amdsmi as the library of ROCm would be: one that works, one whose import crashes, one that hangs, one that is not there."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from metering.collectors.gpus import probing
from metering.collectors.gpus.amd import AmdCollector
from metering.models import CollectorState
from tests.metering.collectors.conftest import START

WORKS = """
import enum
class AmdSmiException(Exception): pass
class AmdSmiLibraryException(AmdSmiException):
    def __init__(self, code): super().__init__(f"status {code}"); self.code = code
    def get_error_code(self): return self.code
class AmdSmiMemoryType(enum.Enum): VRAM = 0
class AmdSmiTemperatureType(enum.Enum): HOTSPOT = 1
class AmdSmiTemperatureMetric(enum.Enum): CURRENT = 0
def amdsmi_init(): pass
def amdsmi_get_processor_handles(): return [0, 1]
def amdsmi_get_gpu_driver_info(handle): return {"driver_version": "6.12"}
def amdsmi_get_gpu_device_bdf(handle): return f"0000:{handle:02x}:00.0"
def amdsmi_get_gpu_device_uuid(handle): return f"amd-{handle}"
def amdsmi_get_gpu_asic_info(handle): return {"market_name": "AMD Instinct MI300X"}
def amdsmi_get_gpu_process_list(handle):
    if handle == LOST: raise AmdSmiLibraryException(33)
    return [{"pid": 11, "mem": 2**30}, {"pid": 12, "mem": 0}] if handle == 0 else []
def amdsmi_get_gpu_activity(handle): return {"gfx_activity": 40}
def amdsmi_get_gpu_memory_usage(handle, kind): return 2**30
def amdsmi_get_gpu_memory_total(handle, kind): return 2**37
def amdsmi_get_power_info(handle): return {"current_socket_power": "N/A", "average_socket_power": 500}
def amdsmi_get_temp_metric(handle, kind, metric): raise AmdSmiLibraryException(2)
def amdsmi_get_energy_count(handle): return {"energy_accumulator": 1000, "counter_resolution": 15.3}
"""
CRASHES = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
HANGS = "import signal\nsignal.pause()\n"
RAISES = "raise OSError('libamd_smi.so: cannot open shared object file')\n"


@pytest.fixture
def node(proc, tmp_path: Path):
    proc.add(11, PORTAL_TENANT="acme")
    proc.add(12, PORTAL_TENANT="globex")
    folder = tmp_path / "rocm"
    folder.mkdir()

    def collector(library: str, lost: int = -1) -> AmdCollector:
        (folder / "amdsmi.py").write_text(library.replace("LOST", str(lost)))
        return AmdCollector("amd", "node-1", proc=proc.root, tenants={"acme", "globex"}, library=str(folder))

    return collector


def sample(collector: AmdCollector, after: float = 0, seconds: float = 10):
    return collector.collect(START + timedelta(seconds=after), time.monotonic() + seconds)


def test_what_is_held_is_billed_and_what_is_used_is_shown(node):
    collector = node(WORKS)
    first = sample(collector)
    second = sample(replace(collector, memory=first.memory), 60)

    assert first.state == CollectorState.OK, first.detail
    assert [(event.tenant, event.quantity_micro, event.dims["model"]) for event in second.events] == [
        ("acme", 60_000_000, "MI300X")
    ]
    gpu, idle = second.devices
    assert dict(gpu.readings) == {
        "utilization_percent": 40, "memory_used_bytes": 2**30, "memory_total_bytes": 2**37, "power_watts": 500,
        "energy_joules": pytest.approx(0.0153),
    }  # fmt: skip
    assert gpu.detail == "not offered by this GPU or driver: temperature_celsius"
    assert idle.holders == ()


def test_a_gpu_that_fails_in_mid_sample_is_a_gap_and_the_other_is_billed(node):
    collector = node(WORKS)
    first = sample(collector)
    lost = node(WORKS, lost=1)
    for probe in probing._probes.values():  # the library changed under its feet; a real driver fails by itself
        probe.stop()
    second = sample(replace(lost, memory=first.memory), 60)

    assert second.state == CollectorState.UNAVAILABLE
    assert [(gap.subject, gap.reason) for gap in second.gaps] == [("amd-1", "status 33")]
    assert [event.tenant for event in second.events] == ["acme"]


@pytest.mark.parametrize(
    ("library", "says"),
    [(CRASHES, "ended with status -11"), (HANGS, "did not answer"), (RAISES, "cannot open shared object file")],
    ids=["segfault", "hang", "no library"],
)
def test_an_import_that_fails_is_unavailable_and_never_a_zero(node, library, says):
    started = time.monotonic()
    found = sample(node(library), seconds=1 if library == HANGS else 20)

    assert found.state == CollectorState.UNAVAILABLE
    assert says in found.detail
    assert (found.events, found.devices, found.memory) == ((), (), {})
    assert time.monotonic() - started < 20


def test_without_amdsmi_it_says_so(node, tmp_path):
    collector = replace(node(WORKS), library=str(tmp_path / "nothing"))

    assert "amdsmi cannot be imported" in sample(collector).detail


def test_partitions_of_one_gpu_are_equal_parts_of_it(node):
    library = WORKS.replace('f"0000:{handle:02x}:00.0"', 'f"0000:05:00.{handle}"')
    first = sample(node(library))
    second = sample(replace(node(library), memory=first.memory), 60)

    assert [device.fraction for device in first.devices] == [Fraction(1, 2), Fraction(1, 2)]
    assert [(event.tenant, event.quantity_micro) for event in second.events] == [("acme", 30_000_000)]


def test_a_place_that_is_not_told_makes_no_partition(node):
    collected = sample(node(WORKS.replace('return f"0000:{handle:02x}:00.0"', "raise AmdSmiLibraryException(2)")))

    assert [device.fraction for device in collected.devices] == [1, 1]


def test_what_the_library_prints_is_no_answer(node):
    """amdsmi 7 without ROCm, as it comes from PyPI: two lines on standard output, then a KeyError."""
    noise = "print('/opt/rocm/lib/libamd_smi.so: cannot open shared object file')\n"
    collected = sample(node(noise + "raise KeyError('libamd_smi.so')\n"))
    assert collected.detail == "amdsmi cannot be imported: ROCm's library 'libamd_smi.so' was not found"

    assert sample(node(noise + WORKS)).state == CollectorState.OK
