"""Reads NVML and prints one line of JSON for each line that it is sent. Run as a program of its own, never imported by the portal.

A hanging or crashing driver then costs a child process, not a worker. Nothing here imports Django.

    {"driver": "580.00", "devices": [{"index": 0, "uuid": "GPU-…", "name": "NVIDIA H100 80GB HBM3", "mig": false, "slices": 1, "of": 1,
      "parent": "", "readings": {"utilization_percent": 93, …}, "unread": ["energy_joules"],
      "processes": [{"pid": 4711, "memory_bytes": 1024, "sm_percent": 40}],
      "accounts": [{"pid": 4710, "started_at_us": 1790000000000000, "milliseconds": 1500, "gpu_percent": 80, "memory_peak_bytes": 1024}]},
     {"index": 1, "error": "GPU is lost"}]}
    {"unavailable": "NVML Shared Library Not Found"}

A device with `error` could not be read whole: nothing about it may be billed. A reading that this GPU or driver does not offer is
listed in `unread` and absent from `readings`; it is never 0. `accounts` is there where the driver's accounting mode is on: the processes
that have ended, as long as the driver remembers them.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pynvml

NOT_OFFERED = {
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_NO_DATA,
    pynvml.NVML_ERROR_NOT_READY,
    pynvml.NVML_ERROR_DEPRECATED,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
}
"""Answers that say something of a function, and nothing of the GPU."""
MPS_SERVER = "nvidia-cuda-mps-server"
FAILURES = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError)


def read_all() -> dict[str, Any]:
    """Everything that NVML says about this machine's GPUs; MIG instances are listed as devices of their own."""
    try:
        count = _count()
        driver = optional(pynvml.nvmlSystemGetDriverVersion)
    except FAILURES as error:
        return {"unavailable": f"NVML: {reason(error)}"}
    devices: list[dict[str, Any]] = []
    for index in range(count):
        devices.extend(read_gpu(index))
    return {"driver": driver, "devices": devices}


def _count() -> int:
    """How many GPUs there are. None at all makes it ask the driver anew: it may have been unloaded, which is an error and not a number."""
    pynvml.nvmlInit()
    count: int = pynvml.nvmlDeviceGetCount()
    if count == 0:
        pynvml.nvmlShutdown()
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    return count


def read_gpu(index: int) -> list[dict[str, Any]]:
    """A GPU, followed by its MIG instances. One entry with `error` when any part of it could not be read."""
    found: dict[str, Any] = {"index": index}
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        found["uuid"] = pynvml.nvmlDeviceGetUUID(handle)
        found["name"] = pynvml.nvmlDeviceGetName(handle)
        found["mig"] = bool((optional(pynvml.nvmlDeviceGetMigMode, handle) or [0])[0])
        found |= {"parent": "", "slices": 1, "of": 1, "processes": [] if found["mig"] else processes(handle)}
        if found["processes"]:
            add_utilization(handle, found["processes"])
        if (ended := accounts(handle)) is not None:
            found["accounts"] = ended
        found["readings"], found["unread"] = readings(handle)
        return [found, *(mig_instances(handle, found) if found["mig"] else [])]
    except FAILURES as error:
        return [{"index": index, "uuid": found.get("uuid", ""), "name": found.get("name", ""), "error": reason(error)}]


def mig_instances(gpu: Any, parent: dict[str, Any]) -> list[dict[str, Any]]:
    """The MIG instances of a GPU, each with its part of it: slices of all slices.

    A GPU instance that is cut further has several compute instances, each a device that names the slices of the whole GPU instance. They
    divide these by their compute slices, so that the parts of a GPU never exceed it.
    """
    of = pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    handles = []
    for position in range(of):
        try:
            handles.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, position))
        except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
            continue  # no instance at this position
    sizes = [pynvml.nvmlDeviceGetAttributes(handle) for handle in handles]
    homes = [_gpu_instance(handle, number) for number, handle in enumerate(handles)]
    together: Counter[Any] = Counter()
    for home, size in zip(homes, sizes, strict=True):
        together[home] += size.computeInstanceSliceCount
    found = []
    for handle, home, size in zip(handles, homes, sizes, strict=True):
        own, all_of_it = size.computeInstanceSliceCount, together[home]
        alone = own == all_of_it
        told, unread = readings(handle, ("memory",))
        found.append(
            {
                "index": parent["index"],
                "uuid": pynvml.nvmlDeviceGetUUID(handle),
                "name": parent["name"],
                "mig": True,
                "parent": parent["uuid"],
                "slices": size.gpuInstanceSliceCount * (1 if alone else own),
                "of": of * (1 if alone else all_of_it),
                "processes": processes(handle),
                "readings": told,
                "unread": unread,
            }
        )
    return found


def _gpu_instance(handle: Any, number: int) -> Any:
    """What is the same for the compute instances of one GPU instance."""
    found = optional(pynvml.nvmlDeviceGetGpuInstanceId, handle)
    return ("position", number) if found is None else found


EVERYTHING = ("utilization", "memory", "power", "temperature", "energy")


def readings(handle: Any, wanted: tuple[str, ...] = EVERYTHING) -> tuple[dict[str, float], list[str]]:
    """(what could be read, names of what this GPU does not offer). A lost GPU raises."""
    found: dict[str, float] = {}
    unread: list[str] = []

    def read(what: str, names: tuple[str, ...], ask: Callable[[], tuple[float, ...]]) -> None:
        if what not in wanted:
            return
        try:
            found.update(zip(names, ask(), strict=True))
        except FAILURES as error:
            if getattr(error, "value", None) not in NOT_OFFERED:
                raise
            unread.extend(names)

    read("utilization", ("utilization_percent",), lambda: (pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,))
    read("memory", ("memory_used_bytes", "memory_total_bytes"), lambda: memory(handle))
    read("power", ("power_watts",), lambda: (pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,))
    read("temperature", ("temperature_celsius",), lambda: (temperature(handle),))
    read("energy", ("energy_joules",), lambda: (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000,))
    return found, unread


_OTHER_VERSION = (pynvml.NVMLError_FunctionNotFound, pynvml.NVMLError_ArgumentVersionMismatch)


def memory(handle: Any) -> tuple[float, float]:
    try:  # version 2 leaves out what the driver reserves for itself
        info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except _OTHER_VERSION:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return info.used, info.total


def temperature(handle: Any) -> float:
    try:
        return pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU)
    except _OTHER_VERSION:  # drivers before 570
        return pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)


def processes(handle: Any) -> list[dict[str, Any]]:
    """Compute processes now. Under MPS those are its clients, and the server through which they all run holds nothing for itself."""
    found = {each.pid: each for each in _listed(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)}
    clients = optional(_listed, pynvml.nvmlDeviceGetMPSComputeRunningProcesses, handle) or ()
    found |= {each.pid: each for each in clients}
    return [
        {"pid": each.pid} | ({} if each.usedGpuMemory is None else {"memory_bytes": each.usedGpuMemory})
        for each in found.values()
        if not _is_mps_server(each.pid)
    ]


def _listed(ask: Callable[..., Any], handle: Any) -> Any:
    """More processes may start between NVML's two calls than pynvml leaves room for: ask again then."""
    for attempt in range(3):
        try:
            return ask(handle)
        except pynvml.NVMLError_InsufficientSize:
            if attempt == 2:
                raise
    return []


def _is_mps_server(pid: int) -> bool:
    try:
        name = pynvml.nvmlSystemGetProcessName(pid)
    except FAILURES:  # it has ended, or is in another pid namespace
        return False
    text = name.decode(errors="replace") if isinstance(name, bytes) else name
    return os.path.basename(text.split()[0] if text.split() else "") == MPS_SERVER


_last_utilization: dict[int, int] = {}
"""By device handle: the newest process sample that was read, in µs of the driver's clock."""


def add_utilization(handle: Any, of: list[dict[str, Any]]) -> None:
    """`sm_percent` of each process: the mean of the driver's samples since the last call. Left out where it is not offered."""
    key = id(handle) if not hasattr(handle, "contents") else _address(handle)
    try:
        samples = pynvml.nvmlDeviceGetProcessUtilization(handle, _last_utilization.get(key, 0))
    except FAILURES as error:
        none = {pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INSUFFICIENT_SIZE}
        if getattr(error, "value", None) in NOT_OFFERED | none:
            return
        raise
    by_pid: dict[int, list[int]] = {}
    for sample in samples:
        by_pid.setdefault(sample.pid, []).append(sample.smUtil)
        _last_utilization[key] = max(_last_utilization.get(key, 0), sample.timeStamp)
    for process in of:
        if found := by_pid.get(process["pid"]):
            process["sm_percent"] = sum(found) / len(found)


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def accounts(handle: Any) -> list[dict[str, Any]] | None:
    """Processes that have ended, from the driver's accounts; None where accounting mode is off or not offered."""
    if optional(pynvml.nvmlDeviceGetAccountingMode, handle) != pynvml.NVML_FEATURE_ENABLED:
        return None
    found = []
    for pid in optional(pynvml.nvmlDeviceGetAccountingPids, handle) or ():
        try:
            stats = pynvml.nvmlDeviceGetAccountingStats(handle, pid)
        except pynvml.NVMLError_NotFound:
            continue  # forgotten meanwhile
        if not stats.isRunning:
            entry = {"pid": pid, "started_at_us": stats.startTime, "milliseconds": stats.time}
            peak = {} if stats.maxMemoryUsage is None else {"memory_peak_bytes": stats.maxMemoryUsage}
            found.append(entry | {"gpu_percent": stats.gpuUtilization} | peak)
    return found


def optional(ask: Callable[..., Any], *arguments: Any) -> Any:
    """The answer, or None where the driver does not offer it. A lost GPU raises."""
    try:
        return ask(*arguments)
    except pynvml.NVMLLibraryMismatchError:
        return None
    except FAILURES as error:
        if getattr(error, "value", None) not in NOT_OFFERED:
            raise
        return None


def reason(error: Exception) -> str:
    if isinstance(error, pynvml.NVMLLibraryMismatchError):
        return "a function that is needed is missing: the driver is older than the bindings"
    return str(error)


if __name__ == "__main__":
    # Answers go where standard output went; what a library prints there by itself is a message.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for _ in sys.stdin:
        print(json.dumps(read_all()), file=answers, flush=True)
