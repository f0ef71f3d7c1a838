"""Reads amdsmi and prints one line of JSON for each line that it is sent; the document is the one of nvml_probe.py. Never imported by the portal.

Importing amdsmi loads ROCm's library, which may crash or hang where ROCm is missing or of another version: that ends this process only.
Nothing here imports Django.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

NOT_OFFERED = frozenset({2, 3, 10, 40, 43, 55})
"""amdsmi status: not supported, not yet implemented, no permission, no data, a drm function or file that is missing."""
UNKNOWN = (None, "N/A")


class Amd:
    """The library, loaded and initialised."""

    def __init__(self) -> None:
        self.smi: Any = importlib.import_module("amdsmi")
        self.smi.amdsmi_init()

    def read_all(self) -> dict[str, Any]:
        handles = self.smi.amdsmi_get_processor_handles()
        slots = [self._slot(at, each) for at, each in enumerate(handles)]
        parts = Counter(slots)
        return {
            "driver": self._driver(handles),
            "devices": [self.read(at, each, parts[slots[at]]) for at, each in enumerate(handles)],
        }

    def _slot(self, index: int, handle: Any) -> str:
        """Where a GPU sits. In the modes DPX to CPX each of its equal partitions is a processor, and a function of the one PCI device."""
        found = self._optional(self.smi.amdsmi_get_gpu_device_bdf, handle)
        slot, dot, function = str(found or "").rpartition(".")
        return slot if dot and function.isdigit() else f"index {index}"

    def _driver(self, handles: list[Any]) -> str | None:
        found = self._optional(self.smi.amdsmi_get_gpu_driver_info, handles[0]) if handles else None
        return found.get("driver_version") if found else None

    def read(self, index: int, handle: Any, partitions: int) -> dict[str, Any]:
        """One GPU, or one of its partitions; with `error` when any part of it could not be read."""
        found: dict[str, Any] = {"index": index}
        try:
            found["uuid"] = str(self.smi.amdsmi_get_gpu_device_uuid(handle))
            found["name"] = str(self.smi.amdsmi_get_gpu_asic_info(handle)["market_name"])
            found |= {"mig": False, "parent": "", "slices": 1, "of": partitions, "processes": self.processes(handle)}
            found["readings"], found["unread"] = self.readings(handle)
        except self.smi.AmdSmiException as error:
            known = {"uuid": found.get("uuid", ""), "name": found.get("name", "")}
            return {"index": index, "error": str(error)[:200] or type(error).__name__} | known
        return found

    def processes(self, handle: Any) -> list[dict[str, Any]]:
        """Processes that have memory on the GPU, or whose memory use is not told."""
        found = []
        for each in self.smi.amdsmi_get_gpu_process_list(handle):
            entry = each.get("process_info", each) if isinstance(each, dict) else each
            if not isinstance(entry, dict) or entry.get("pid") in UNKNOWN:
                continue
            memory = entry.get("mem", entry.get("memory_usage", {}).get("vram_mem"))
            if memory != 0:
                found.append({"pid": int(entry["pid"])} | ({} if memory in UNKNOWN else {"memory_bytes": int(memory)}))
        return found

    def readings(self, handle: Any) -> tuple[dict[str, float], list[str]]:
        """(what could be read, names of what this GPU does not offer)."""
        smi, found, unread = self.smi, {}, []

        def read(name: str, ask: Callable[[], Any]) -> None:
            try:
                value = ask()
            except smi.AmdSmiException as error:
                if _code(error) not in NOT_OFFERED:
                    raise
                value = None
            except (KeyError, AttributeError):  # another version of the library
                value = None
            if value in UNKNOWN:
                unread.append(name)
            else:
                found[name] = float(value)

        read("utilization_percent", lambda: smi.amdsmi_get_gpu_activity(handle)["gfx_activity"])
        read("memory_used_bytes", lambda: smi.amdsmi_get_gpu_memory_usage(handle, smi.AmdSmiMemoryType.VRAM))
        read("memory_total_bytes", lambda: smi.amdsmi_get_gpu_memory_total(handle, smi.AmdSmiMemoryType.VRAM))
        read("power_watts", lambda: _watts(smi.amdsmi_get_power_info(handle)))
        sensor, current = smi.AmdSmiTemperatureType, smi.AmdSmiTemperatureMetric.CURRENT
        read("temperature_celsius", lambda: smi.amdsmi_get_temp_metric(handle, sensor.HOTSPOT, current))
        read("energy_joules", lambda: _joules(smi.amdsmi_get_energy_count(handle)))
        return found, unread

    def _optional(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except self.smi.AmdSmiException:
            return None


def _watts(info: dict[str, Any]) -> Any:
    """Cards tell the power of now or an average of the last moments."""
    for name in ("current_socket_power", "average_socket_power", "socket_power"):
        if info.get(name) not in (*UNKNOWN, 0):
            return info[name]
    return None


def _joules(count: dict[str, Any]) -> Any:
    """The counter times its resolution, in micro-joules."""
    counter = count.get("energy_accumulator", count.get("power"))
    return None if counter in UNKNOWN else counter * count["counter_resolution"] / 1e6


def _code(error: Exception) -> Any:
    code = getattr(error, "get_error_code", lambda: None)()
    return getattr(code, "value", code)


def _loaded() -> Amd:
    """Raises ImportError, also where amdsmi says KeyError 'libamd_smi.so': it has not found ROCm."""
    try:
        return Amd()
    except KeyError as error:
        raise ImportError(f"ROCm's library {error} was not found") from None


def main() -> None:
    """Answer until nobody asks any more. amdsmi prints to standard output when it finds no ROCm: answers go where that went before."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    amd: Amd | None = None
    for _ in sys.stdin:
        try:
            amd = amd or _loaded()
            document = amd.read_all()
        except ImportError as error:
            document = {"unavailable": f"amdsmi cannot be imported: {error}"[:300]}
        except Exception as error:  # whatever amdsmi raises while it is loaded, none of it is a reading
            document = {"unavailable": f"amdsmi: {type(error).__name__}: {error}"[:300]}
        print(json.dumps(document), file=answers, flush=True)


if __name__ == "__main__":
    main()
