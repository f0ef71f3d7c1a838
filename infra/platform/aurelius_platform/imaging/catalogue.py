"""The studies that are served: the DICOM files that come with pydicom, grouped by study. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pydicom
from pydicom.pixels.utils import pixel_array

SMALLEST = 32  # pixels; smaller pictures are tests of decoders, not pictures


@dataclass(frozen=True)
class Slice:
    """One picture: a frame of a file."""

    file: str
    frame: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Study:
    """Pictures that were taken together. `id` is short and stays the same from build to build."""

    id: str
    modality: str
    body_part: str
    description: str
    date: str
    slices: tuple[Slice, ...]

    def summary(self) -> dict[str, Any]:
        return {**asdict(self), "slices": len(self.slices)}


class Catalogue:
    """The studies of a built catalogue, by id, in a fixed order."""

    def __init__(self, studies: list[Study]) -> None:
        self.studies = studies
        self._by_id = {study.id: study for study in studies}

    @classmethod
    def load(cls, path: Path) -> Catalogue:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return cls([Study(**{**row, "slices": tuple(Slice(**each) for each in row["slices"])}) for row in rows])

    def get(self, id: str) -> Study | None:
        return self._by_id.get(id)

    def of_modality(self, modality: str) -> list[Study]:
        return [study for study in self.studies if modality in ("", study.modality)]


def folder() -> Path:
    """Where pydicom keeps its own files."""
    return Path(str(files("pydicom") / "data" / "test_files"))


def build(path: Path) -> int:
    """Write the catalogue of every file whose pixels can be decoded here; how many studies it has."""
    found: dict[str, list[tuple[pydicom.Dataset, Slice]]] = {}
    for dataset, part in _decodable():
        found.setdefault(str(dataset.get("StudyInstanceUID", part.file)), []).append((dataset, part))
    studies = [_study(uid, parts) for uid, parts in sorted(found.items())]
    path.write_text(json.dumps([asdict(study) for study in studies], indent=1), encoding="utf-8")
    return len(studies)


def _decodable() -> Iterator[tuple[pydicom.Dataset, Slice]]:
    for file in sorted(folder().glob("*.dcm")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's files are odd on purpose
            try:
                dataset = pydicom.dcmread(file)
                frames = int(dataset.get("NumberOfFrames", 1) or 1)
                first = pixel_array(dataset, index=0) if frames > 1 else dataset.pixel_array
            except Exception:  # noqa: S112 - files that need codecs which are not installed, and broken ones
                continue
        if min(first.shape[:2]) >= SMALLEST:
            for frame in range(frames):
                yield dataset, Slice(file.name, frame, first.shape[0], first.shape[1])


def _study(uid: str, parts: list[tuple[pydicom.Dataset, Slice]]) -> Study:
    dataset = parts[0][0]
    return Study(
        id=hashlib.sha256(uid.encode()).hexdigest()[:12],
        modality=str(dataset.get("Modality") or "OT"),
        body_part=str(dataset.get("BodyPartExamined") or "").lower(),
        description=str(dataset.get("StudyDescription") or ""),
        date=str(dataset.get("StudyDate") or "").replace(".", ""),  # ACR-NEMA wrote 1997.04.24
        slices=tuple(part for _, part in parts),
    )
