"""The model: which modality a slice is of. Fixed random convolutions, and a linear layer fitted to the slices of the catalogue at set-up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from . import onnx_writer as onnx

Floats = NDArray[np.float32]
NAME = "modality-1"
EDGE = 64
CLASSES = ("CT", "MR", "US", "OT")
CHANNELS = (8, 16)
COPIES = 24  # shifted and brightened copies of every slice
RIDGE = 1e-2


@dataclass(frozen=True)
class Prediction:
    """The most likely modality and how likely each is."""

    label: str
    probabilities: dict[str, float]


class Model:
    """A session on one thread: batching, not threads, is what makes it fast on a shared machine."""

    def __init__(self, path: Path) -> None:
        self._session = _session(path.read_bytes())

    def run(self, batch: Floats) -> list[Prediction]:
        """`batch` is n × 1 × EDGE × EDGE, from 0 to 1."""
        (probabilities,) = self._session.run(["probabilities"], {"slices": batch})
        return [
            Prediction(
                CLASSES[int(row.argmax())],
                {name: round(float(value), 6) for name, value in zip(CLASSES, row, strict=True)},
            )
            for row in probabilities
        ]


def _session(content: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def build(path: Path, slices: Floats, modalities: list[str]) -> float:
    """Fit the last layer to these slices (n × EDGE × EDGE) and write the model; the part of the slices that it names rightly."""
    chance = np.random.default_rng(11)
    first = (chance.standard_normal((CHANNELS[0], 1, 5, 5)) * 0.3).astype(np.float32)
    second = (chance.standard_normal((CHANNELS[1], CHANNELS[0], 3, 3)) * 0.2).astype(np.float32)
    convolutions = {"first": first, "second": second}
    labels = np.array([CLASSES.index(each) if each in CLASSES else CLASSES.index("OT") for each in modalities])
    copies = np.concatenate([_varied(slices, chance) for _ in range(COPIES)] + [slices])[:, None]
    (seen,) = _session(_assembled(convolutions, None)).run(["features"], {"slices": copies.astype(np.float32)})
    mean, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    inputs = np.hstack([(seen - mean) / spread, np.ones((len(seen), 1), np.float32)])
    targets = np.tile(np.eye(len(CLASSES), dtype=np.float32)[labels] * 8 - 4, (COPIES + 1, 1))
    head = np.linalg.solve(inputs.T @ inputs + RIDGE * len(inputs) * np.eye(inputs.shape[1]), inputs.T @ targets)
    weight = (head[:-1] / spread[:, None]).T
    bias = head[-1] - weight @ mean
    path.write_bytes(_assembled(convolutions, (weight.astype(np.float32), bias.astype(np.float32))))
    found = Model(path).run(np.ascontiguousarray(slices[:, None], np.float32))
    return float(
        sum(CLASSES.index(each.label) == label for each, label in zip(found, labels, strict=True)) / len(labels)
    )


def _varied(slices: Floats, chance: np.random.Generator) -> Floats:
    moved = np.stack([np.roll(each, tuple(chance.integers(-6, 7, 2)), axis=(0, 1)) for each in slices])
    return np.clip(moved * chance.uniform(0.85, 1.15, (len(slices), 1, 1)), 0, 1).astype(np.float32)


def _assembled(convolutions: dict[str, Floats], head: tuple[Floats, Floats] | None) -> bytes:
    """The network: two convolutions, and of each the mean and the largest answer of every channel; then the linear layer, if it is there."""
    nodes = [
        onnx.node("Conv", ["slices", "first"], "c1", strides=[2, 2], pads=[2, 2, 2, 2]),
        onnx.node("Relu", ["c1"], "r1"),
        onnx.node("Conv", ["r1", "second"], "c2", strides=[2, 2], pads=[1, 1, 1, 1]),
        onnx.node("Relu", ["c2"], "r2"),
        *(onnx.node("GlobalAveragePool", [f"r{layer}"], f"mean{layer}") for layer in (1, 2)),
        *(onnx.node("GlobalMaxPool", [f"r{layer}"], f"max{layer}") for layer in (1, 2)),
        onnx.node("Concat", ["mean1", "max1", "mean2", "max2"], "pooled", axis=1),
        onnx.node("Flatten", ["pooled"], "features", axis=1),
    ]
    inputs = {"slices": ("n", 1, EDGE, EDGE)}
    if head is None:
        return onnx.model("features", nodes, convolutions, inputs, {"features": ("n", 2 * sum(CHANNELS))})
    nodes += [
        onnx.node("Gemm", ["features", "weight", "bias"], "scores", transB=1),
        onnx.node("Softmax", ["scores"], "probabilities", axis=1),
    ]
    weights = {**convolutions, "weight": head[0], "bias": head[1]}
    return onnx.model(NAME, nodes, weights, inputs, {"probabilities": ("n", len(CLASSES))})
