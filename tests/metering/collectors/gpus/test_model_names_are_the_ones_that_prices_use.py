from __future__ import annotations

import pytest

from metering.collectors.gpus.nvml import model_of


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA L40S", "L40S"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("Tesla T4", "T4"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 4070 Ti", "RTX 4070 Ti"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("", "unknown"),
        ("Something else", "Something else"),
    ],
)
def test_short_name(name, model):
    assert model_of(name, {}) == model


def test_the_settings_have_the_last_word():
    assert model_of("NVIDIA H100 PCIe", {"NVIDIA H100 PCIe": "H100-PCIE"}) == "H100-PCIE"
