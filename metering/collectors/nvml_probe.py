"""Reads NVML once and prints one JSON document. Run as a program of its own, never imported by the portal.

A hanging or crashing driver then costs a child process, not a worker. Nothing here imports Django.

    {"driver": "580.00", "devices": [{"index": 0, "uuid": "GPU-…", "name": "NVIDIA H100 80GB HBM3", "mig": false, "slices": 1, "of": 1,
      "parent": "", "readings": {"utilization_percent": 93, …}, "unread": ["energy_joules"],
      "processes": [{"pid": 4711, "memory_bytes": 1024}]},
     {"index": 1, "error": "GPU is lost"}]}
    {"unavailable": "NVML Shared Library Not Found"}

A device with `error` could not be read whole: nothing about it may be billed. A reading that this GPU or driver does not offer is
listed in `unread` and absent from `readings`; it is never 0.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pynvml

NOT_OFFERED = {
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
}
FAILURES = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError)


def read_all() -> dict[str, Any]:
    """Everything that NVML says about this machine's GPUs; MIG instances are listed as devices of their own."""
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        driver = optional(pynvml.nvmlSystemGetDriverVersion)
    except FAILURES as error:
        return {"unavailable": f"NVML: {reason(error)}"}
    devices: list[dict[str, Any]] = []
    for index in range(count):
        devices.extend(read_gpu(index))
    return {"driver": driver, "devices": devices}


def read_gpu(index: int) -> list[dict[str, Any]]:
    """A GPU, followed by its MIG instances. One entry with `error` when any part of it could not be read."""
    found: dict[str, Any] = {"index": index}
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        found["uuid"] = pynvml.nvmlDeviceGetUUID(handle)
        found["name"] = pynvml.nvmlDeviceGetName(handle)
        found["mig"] = bool((optional(pynvml.nvmlDeviceGetMigMode, handle) or [0])[0])
        found |= {"parent": "", "slices": 1, "of": 1, "processes": [] if found["mig"] else processes(handle)}
        found["readings"], found["unread"] = readings(handle)
        return [found, *(mig_instances(handle, found) if found["mig"] else [])]
    except FAILURES as error:
        return [{"index": index, "uuid": found.get("uuid", ""), "name": found.get("name", ""), "error": reason(error)}]


def mig_instances(gpu: Any, parent: dict[str, Any]) -> list[dict[str, Any]]:
    """The MIG instances of a GPU, each with its part of it: compute slices of all slices."""
    of = pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    found = []
    for position in range(of):
        try:
            handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, position)
        except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
            continue  # no instance at this position
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        found.append(
            {
                "index": parent["index"],
                "uuid": pynvml.nvmlDeviceGetUUID(handle),
                "name": parent["name"],
                "mig": True,
                "parent": parent["uuid"],
                "slices": pynvml.nvmlDeviceGetAttributes(handle).gpuInstanceSliceCount,
                "of": of,
                "processes": processes(handle),
                "readings": {"memory_used_bytes": memory.used, "memory_total_bytes": memory.total},
                "unread": [],
            }
        )
    return found


def readings(handle: Any) -> tuple[dict[str, float], list[str]]:
    """(what could be read, names of what this GPU does not offer). A lost GPU raises."""
    found: dict[str, float] = {}
    unread: list[str] = []

    def read(names: tuple[str, ...], ask: Callable[[], tuple[float, ...]]) -> None:
        try:
            found.update(zip(names, ask(), strict=True))
        except FAILURES as error:
            if getattr(error, "value", None) not in NOT_OFFERED:
                raise
            unread.extend(names)

    read(("utilization_percent",), lambda: (pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,))
    read(("memory_used_bytes", "memory_total_bytes"), lambda: memory(handle))
    read(("power_watts",), lambda: (pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,))
    read(("temperature_celsius",), lambda: (temperature(handle),))
    read(("energy_joules",), lambda: (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000,))
    return found, unread


def memory(handle: Any) -> tuple[float, float]:
    try:  # version 2 leaves out what the driver reserves for itself
        info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except pynvml.NVMLError_FunctionNotFound:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return info.used, info.total


def temperature(handle: Any) -> float:
    try:
        return pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU)
    except pynvml.NVMLError_FunctionNotFound:  # drivers before 570
        return pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)


def processes(handle: Any) -> list[dict[str, Any]]:
    """Compute processes now. More of them may start between NVML's two calls than pynvml leaves room for: ask again then."""
    for attempt in range(3):
        try:
            found = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            return [{"pid": each.pid, "memory_bytes": each.usedGpuMemory} for each in found]
        except pynvml.NVMLError_InsufficientSize:
            if attempt == 2:
                raise
    return []


def optional(ask: Callable[..., Any], *arguments: Any) -> Any:
    """The answer, or None where the driver does not offer it. A lost GPU raises."""
    try:
        return ask(*arguments)
    except FAILURES as error:
        if getattr(error, "value", None) not in NOT_OFFERED:
            raise
        return None


def reason(error: Exception) -> str:
    if isinstance(error, pynvml.NVMLLibraryMismatchError):
        return "a function that is needed is missing: the driver is older than the bindings"
    return str(error)


if __name__ == "__main__":
    json.dump(read_all(), sys.stdout)
