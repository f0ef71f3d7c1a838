"""NVIDIA GPUs through NVML (nvml_probe.py). What is billed and shown: held.py."""

from __future__ import annotations

from pathlib import Path

from .held import GpuCollector, model_of

__all__ = ["NvmlCollector", "model_of"]


class NvmlCollector(GpuCollector):
    """The NVIDIA GPUs of a node."""

    kind = "nvml"
    probe = Path(__file__).with_name("nvml_probe.py")
