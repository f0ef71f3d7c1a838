"""Small local vectors: hashed words and letter groups, weighted by rarity, brought to a few dimensions by latent semantic analysis."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BUCKETS = 2**12
DIMENSIONS = 64
AT_ONCE = 512
"""Rows that lie in memory in full: 8 MB."""
COUNTED = 0.5
"""The share of the work that counting the words is."""
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
    def of(cls, texts: list[str], ids: list[int], progress: Callable[[float], None] = lambda share: None) -> Space:
        """Learn the space of these texts (randomised singular value decomposition with a fixed seed, two power iterations).

        `progress` is told which share of the work is done.
        """
        counts = _Rows.of(texts, lambda share: progress(share * COUNTED))
        rarity = np.log((1 + len(texts)) / (1 + counts.documents())).astype(np.float32) + 1
        weighted = counts.weighted(rarity)
        passes = iter(np.linspace(COUNTED, 1, 8)[1:])

        def seen(result: Floats) -> Floats:
            progress(float(next(passes)))
            return result

        start = np.random.default_rng(7).standard_normal((BUCKETS, DIMENSIONS + 16)).astype(np.float32)
        sketch = seen(weighted.times(start))
        for _ in range(2):
            sketch = seen(weighted.times(seen(weighted.transposed_times(np.linalg.qr(sketch)[0]))))
        orthogonal = np.linalg.qr(sketch)[0]
        _, _, right = np.linalg.svd(seen(weighted.transposed_times(orthogonal)).T, full_matrices=False)
        basis = right[:DIMENSIONS].T.astype(np.float32)
        return cls(rarity, basis, _unit(seen(weighted.times(basis))), np.asarray(ids, np.int64))

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


@dataclass(frozen=True)
class _Rows:
    """A matrix of texts × BUCKETS of which only what is there is kept; products go through it some rows at a time.

    Row r's entries are those from starts[r] to starts[r + 1].
    """

    starts: NDArray[np.int64]
    buckets: NDArray[np.int64]
    values: Floats

    @classmethod
    def of(cls, texts: list[str], progress: Callable[[float], None]) -> _Rows:
        starts, buckets, values = [0], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for number, text in enumerate(texts, 1):
            found = features(text)
            buckets.append(np.fromiter(found.keys(), np.int64, len(found)))
            values.append(1 + np.log(np.fromiter(found.values(), np.float32, len(found))))
            starts.append(starts[-1] + len(found))
            if number % AT_ONCE == 0:
                progress(number / len(texts))
        return cls(np.asarray(starts, np.int64), np.concatenate(buckets), np.concatenate(values))

    def documents(self) -> NDArray[np.int64]:
        """How many texts each bucket is in."""
        return np.bincount(self.buckets, minlength=BUCKETS)

    def weighted(self, rarity: Floats) -> _Rows:
        """By rarity, and each row of unit length."""
        values = self.values * rarity[self.buckets]
        rows = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        lengths = np.sqrt(np.bincount(rows, weights=values.astype(np.float64) ** 2, minlength=len(self.starts) - 1))
        return _Rows(self.starts, self.buckets, (values / lengths[rows]).astype(np.float32))

    def times(self, other: Floats) -> Floats:
        return np.concatenate([dense @ other for _, dense in self._dense()])

    def transposed_times(self, other: Floats) -> Floats:
        out = np.zeros((BUCKETS, other.shape[1]), np.float32)
        for rows, dense in self._dense():
            out += dense.T @ other[rows]
        return out

    def _dense(self) -> Iterator[tuple[slice, Floats]]:
        for first in range(0, len(self.starts) - 1, AT_ONCE):
            starts = self.starts[first : first + AT_ONCE + 1]
            part = slice(starts[0], starts[-1])
            dense = np.zeros((len(starts) - 1, BUCKETS), np.float32)
            dense[np.repeat(np.arange(len(starts) - 1), np.diff(starts)), self.buckets[part]] = self.values[part]
            yield slice(first, first + len(starts) - 1), dense


def _unit(rows: NDArray[Any]) -> Floats:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
