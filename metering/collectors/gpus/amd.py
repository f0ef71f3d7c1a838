"""AMD GPUs through amdsmi (amd_probe.py). What is billed and shown: held.py.

amdsmi is optional (the extra `amd`) and comes with ROCm, whose version it must have. It is imported in a child process only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import probing
from .held import GpuCollector


@dataclass(frozen=True)
class AmdCollector(GpuCollector):
    """The AMD GPUs of a node. `library` is the folder of ROCm's Python package, such as /opt/rocm/share/amd_smi, where it is not installed."""

    library: str = ""

    kind = "amd"
    probe = Path(__file__).with_name("amd_probe.py")

    def read(self, timeout: float) -> dict[str, Any]:
        return probing.ask(self.probe, timeout, path=self.library)
