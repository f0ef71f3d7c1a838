"""Small local vectors: hashed words and letter groups, weighted by rarity, brought to a few dimensions by latent semantic analysis."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BUCKETS = 2**12
DIMENSIONS = 64
NAME = f"lsa-{DIMENSIONS}"
_WORD = re.compile(r"[a-z0-9]+")


def features(text: str) -> Counter[int]:
    """Bucket → weight: whole words, pairs of words, and groups of four letters, which let endings and typing errors pass."""
    words = _WORD.findall(text.lower())
    parts = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    parts += [f"#{word[at : at + 4]}" for word in words for at in range(len(word) - 3)]
    return Counter(zlib.crc32(part.encode()) % BUCKETS for part in parts)


@dataclass(frozen=True)
class Space:
    """What turns text into vectors, and the vectors of the documents, whose rows are in the order of `ids`."""

    rarity: Floats
    basis: Floats
    vectors: Floats
    ids: NDArray[np.int64]

    @classmethod
    def of(cls, texts: list[str], ids: list[int]) -> Space:
        """Learn the space of these texts (randomised singular value decomposition with a fixed seed, two power iterations)."""
        counts = np.zeros((len(texts), BUCKETS), np.float32)
        for row, text in enumerate(texts):
            for bucket, weight in features(text).items():
                counts[row, bucket] = 1 + np.log(weight)
        rarity = np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0))).astype(np.float32) + 1
        weighted = _unit(counts * rarity)
        sketch = weighted @ np.random.default_rng(7).standard_normal((BUCKETS, DIMENSIONS + 16)).astype(np.float32)
        for _ in range(2):
            sketch = weighted @ (weighted.T @ np.linalg.qr(sketch)[0])
        orthogonal = np.linalg.qr(sketch)[0]
        _, _, right = np.linalg.svd(orthogonal.T @ weighted, full_matrices=False)
        basis = right[:DIMENSIONS].T.astype(np.float32)
        return cls(rarity, basis, _unit(weighted @ basis), np.asarray(ids, np.int64))

    def vector(self, text: str) -> Floats:
        """Of unit length; zeros for a text without a known part."""
        counts = np.zeros(BUCKETS, np.float32)
        for bucket, weight in features(text).items():
            counts[bucket] = 1 + np.log(weight)
        return _unit((counts * self.rarity) @ self.basis)

    def nearest(self, text: str, limit: int) -> list[tuple[int, float]]:
        """(document, cosine) of the nearest ones, best first; none for a text of which nothing is known."""
        wanted = self.vector(text)
        if not wanted.any():
            return []
        likeness = self.vectors @ wanted
        best = np.argsort(-likeness, kind="stable")[:limit]
        return [(int(self.ids[row]), float(likeness[row])) for row in best]

    def save(self, path: Path) -> None:
        with path.open("wb") as out:
            np.savez(out, rarity=self.rarity, basis=self.basis, vectors=self.vectors, ids=self.ids)

    @classmethod
    def load(cls, path: Path) -> Space:
        with np.load(path) as found:
            return cls(found["rarity"], found["basis"], found["vectors"], found["ids"])


def _unit(rows: NDArray[Any]) -> Floats:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
