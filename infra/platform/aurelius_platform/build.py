"""`python -m aurelius_platform.build`: make what the services serve: catalogue, model and index, under PLATFORM_DATA. Made once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from .imaging import catalogue, rendering
from .ml import model
from .search import index
from .search.corpus import reports

DOCUMENTS = 2_000


def build(data: Path, documents: int = DOCUMENTS) -> list[str]:
    """Make what is not there yet; a sentence for each thing made."""
    data.mkdir(parents=True, exist_ok=True)
    told = []
    studies, network = data / "catalogue.json", data / f"{model.NAME}.onnx"
    if not studies.exists():
        told.append(f"{catalogue.build(studies)} studies from pydicom's own files")
    if not network.exists():
        told.append(
            f"the model {model.NAME}, right on {_fit(studies, network):.0%} of the slices that it was fitted to"
        )
    if not (data / "indexes" / f"{index.REPORTS}.json").exists():
        count = index.build(data / "indexes", index.REPORTS, reports(documents), documents, lambda *_: None)
        told.append(f"an index of {count} reports")
    return told


def _fit(studies: Path, network: Path) -> float:
    parts = [(study.modality, part) for study in catalogue.Catalogue.load(studies).studies for part in study.slices[:8]]
    slices = [np.frombuffer(rendering.tensor(part), "<f4").reshape(model.EDGE, model.EDGE) for _, part in parts]
    return model.build(network, np.stack(slices), [modality for modality, _ in parts])


if __name__ == "__main__":
    for sentence in build(Path(sys.argv[1])):
        print(sentence)
