"""The index: SQLite's full-text engine (FTS5, BM25) for words, vectors for meaning. A new one is built beside the old and put in its place."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from .corpus import Report
from .vectors import Space

CHUNK = 100
WORDS = 0.1
"""The part of a document's work that its words are; its meaning is the rest."""
REPORTS = "reports"
KINDS = ("keyword", "filtered", "semantic")
_SCHEMA = """
CREATE TABLE report (id INTEGER PRIMARY KEY, title TEXT, body TEXT, modality TEXT, body_part TEXT, year INTEGER);
CREATE INDEX report_filter ON report (modality, body_part, year);
CREATE VIRTUAL TABLE words USING fts5(title, body, content=report, content_rowid=id, tokenize='porter unicode61 remove_diacritics 2');
"""
_SHOWN = "report.id, report.title, report.modality, report.body_part, report.year"
_WORD = re.compile(r"\w+")
MOST_WORDS = 20


class NoIndexError(LookupError):
    """There is no index of that name yet."""


def build(folder: Path, name: str, documents: Iterable[Report], expected: int, progress: Callable[[int, int], None]) -> int:  # fmt: skip
    """Index the documents and put the new index in the old one's place at once; how many there are. `progress(done, expected)` is told, by the
    work that is done: the last document is only done when the index answers."""
    folder.mkdir(parents=True, exist_ok=True)
    generation = f"{name}-{os.urandom(6).hex()}"
    texts: list[str] = []
    ids: list[int] = []
    progress(0, expected)
    with closing(sqlite3.connect(folder / f".{generation}.sqlite")) as connection:
        connection.executescript(_SCHEMA)
        for document in documents:
            values = (document.id, document.title, document.body, document.modality, document.body_part, document.year)
            connection.execute("INSERT INTO report VALUES (?, ?, ?, ?, ?, ?)", values)
            connection.execute("INSERT INTO words (rowid, title, body) VALUES (?, ?, ?)", values[:3])
            texts.append(document.body)
            ids.append(document.id)
            if len(ids) % CHUNK == 0:
                connection.commit()
                progress(int(len(ids) * WORDS), max(expected, len(ids)))
        connection.commit()

    def of_meaning(share: float) -> None:
        progress(min(int(len(ids) * (WORDS + (1 - WORDS) * share)), len(ids) - 1), len(ids))

    Space.of(texts, ids, of_meaning).save(folder / f".{generation}.npz")
    _publish(folder, name, generation)
    progress(len(ids), len(ids))
    return len(ids)


def _publish(folder: Path, name: str, generation: str) -> None:
    """Put a finished generation in the present one's place. Builds may end at the same time: one publishes after the other."""
    pointer = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = json.loads(pointer.read_text())["generation"] if pointer.exists() else generation
        for suffix in (".sqlite", ".npz"):
            (folder / f".{generation}{suffix}").rename(folder / f"{generation}{suffix}")
        fresh = folder / f".{generation}.json"
        fresh.write_text(json.dumps({"generation": generation}))
        fresh.replace(pointer)
        for path in folder.glob(f"{name}-*"):
            if not path.name.startswith((generation, before)):  # the one before may still be read
                path.unlink()


class Generation(NamedTuple):
    """One built index: vectors and file belong together. `mark` tells its pointer from another's."""

    mark: tuple[int, int]
    space: Space
    file: str


class Index:
    """The present index of a name; a new generation is taken up at the next search. Threads share it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._pointer, self._folder = folder / f"{name}.json", folder
        self._present: Generation | None = None

    def search(self, kind: str, text: str, limit: int, **filters: Any) -> list[dict[str, Any]]:
        """The best documents, best first. `filters` (modality, body_part, since) hold for kind "filtered". Raises NoIndexError."""
        try:
            return self._search(kind, text, limit, filters)
        except (sqlite3.OperationalError, FileNotFoundError):  # two new ones came at once, and this one was swept away
            self._present = None
            return self._search(kind, text, limit, filters)

    def _search(self, kind: str, text: str, limit: int, filters: dict[str, Any]) -> list[dict[str, Any]]:
        here = self._current()
        with closing(sqlite3.connect(here.file, uri=True, check_same_thread=False)) as connection:
            connection.row_factory = sqlite3.Row
            if kind == "semantic":
                return _by_meaning(connection, here.space.nearest(text, limit))
            return _by_words(connection, text, limit, filters if kind == "filtered" else {})

    def _current(self) -> Generation:
        try:
            found = self._pointer.stat()
        except FileNotFoundError:
            raise NoIndexError(self._pointer.stem) from None
        mark = (found.st_mtime_ns, found.st_ino)
        present = self._present
        if present is None or mark != present.mark:
            generation = json.loads(self._pointer.read_text())["generation"]
            space = Space.load(self._folder / f"{generation}.npz")
            file = f"file:{self._folder / generation}.sqlite?mode=ro&immutable=1"
            present = self._present = Generation(mark, space, file)
        return present


def match(text: str) -> str:
    """FTS5's query for all words of a text, whatever else it holds."""
    return " ".join(f'"{word}"' for word in _WORD.findall(text)[:MOST_WORDS])


def _by_words(connection: sqlite3.Connection, text: str, limit: int, filters: dict[str, Any]) -> list[dict[str, Any]]:
    query = match(text)
    if not query:
        return []
    conditions, values = ["words MATCH ?"], [query]
    for name, column in (("modality", "modality ="), ("body_part", "body_part ="), ("since", "year >=")):
        if filters.get(name) not in (None, ""):
            conditions.append(f"report.{column} ?")
            values.append(filters[name])
    statement = (
        f"SELECT {_SHOWN}, -bm25(words) AS score, snippet(words, 1, '', '', '…', 24) AS snippet FROM words "  # noqa: S608
        f"JOIN report ON report.id = words.rowid WHERE {' AND '.join(conditions)} ORDER BY bm25(words) LIMIT ?"
    )
    return [dict(row) for row in connection.execute(statement, [*values, limit])]


def _by_meaning(connection: sqlite3.Connection, nearest: list[tuple[int, float]]) -> list[dict[str, Any]]:
    marks = ", ".join("?" * len(nearest))
    statement = f"SELECT {_SHOWN}, substr(body, 1, 160) AS snippet FROM report WHERE id IN ({marks})"  # noqa: S608
    rows = {row["id"]: dict(row) for row in connection.execute(statement, [id for id, _ in nearest])}
    return [{**rows[id], "score": score} for id, score in nearest if id in rows]
