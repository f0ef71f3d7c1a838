"""Keyword search wants all words, a filter holds, meaning finds what is said in other words; a new index replaces the old one at once."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from aurelius_platform.search import index
from aurelius_platform.search.corpus import Report, reports
from aurelius_platform.search.index import Index, NoIndexError, match
from aurelius_platform.search.vectors import BUCKETS, DIMENSIONS, Space


@pytest.fixture
def found(built: Path) -> Index:
    return Index(built / "indexes", index.REPORTS)


def test_all_words_are_there(found: Index) -> None:
    results = found.search("keyword", "ureteral calculus", 20)
    assert results
    assert all("ureteral" in row["snippet"] or "calculus" in row["snippet"] for row in results)
    assert found.search("keyword", "ureteral meniscus", 20) == []
    assert [row["score"] for row in results] == sorted((row["score"] for row in results), reverse=True)


def test_filters_hold_in_filtered_search_only(found: Index) -> None:
    filters = {"modality": "CT", "body_part": "chest", "since": 2020}
    results = found.search("filtered", "nodule", 50, **filters)
    assert results
    assert {(row["modality"], row["body_part"], row["year"] >= 2020) for row in results} == {("CT", "chest", True)}
    assert len(found.search("keyword", "nodule", 50, **filters)) > len(results)


@pytest.mark.parametrize(
    ("asked", "part"), [("acute stroke in the brain", "head"), ("torn ligament of the knee joint", "knee"), ("gall stones", "abdomen")]
)  # fmt: skip
def test_meaning_leads_to_the_part_of_the_body(found: Index, asked: str, part: str) -> None:
    results = found.search("semantic", asked, 5)
    assert [row["body_part"] for row in results].count(part) >= 4


@pytest.mark.parametrize("text", ['"', "a AND (b", "NEAR(", "*", "x:y", "' OR 1=1 --", "\x00"])
def test_no_text_is_a_query_of_the_engine(found: Index, text: str) -> None:
    assert isinstance(found.search("keyword", text, 5), list)
    assert '"""' not in match(text)


def test_a_new_index_is_taken_up_and_the_old_one_goes(tmp_path: Path) -> None:
    here, seen = Index(tmp_path, "notes"), []
    with pytest.raises(NoIndexError):
        here.search("keyword", "zebra", 5)
    for _ in range(2):
        index.build(tmp_path, "notes", reports(150), 150, lambda *step: seen.append(step))
        assert here.search("keyword", "zebra", 5) == []
    fresh = [*reports(20), Report(99, "MR knee, zebra", "A zebra stripe artefact.", "MR", "knee", 2024)]
    assert index.build(tmp_path, "notes", fresh, 21, lambda *_: None) == 21
    assert [row["id"] for row in here.search("keyword", "zebra", 5)] == [99]
    assert (seen[0], seen[-1]) == ((0, 150), (150, 150))
    assert len(list(tmp_path.glob("*.sqlite"))) == 2, "the present one, and the one before, which may still be read"


def test_builds_that_overlap_take_nothing_from_each_other(tmp_path: Path) -> None:
    here = Index(tmp_path, "notes")
    index.build(tmp_path, "notes", reports(20), 20, lambda *_: None)

    def others_meanwhile(done: int, expected: int) -> None:
        if done == 100:  # in the midst of the outer build two others begin and end
            for _ in range(2):
                index.build(tmp_path, "notes", reports(30), 30, lambda *_: None)
                assert here.search("keyword", "there", 50)

    index.build(tmp_path, "notes", reports(150), 150, others_meanwhile)
    assert len(here.search("semantic", "nodule", 200)) == 150
    assert not list(tmp_path.glob(".notes*"))


def test_an_index_that_was_swept_away_meanwhile_is_opened_anew(tmp_path: Path) -> None:
    here = Index(tmp_path, "notes")
    index.build(tmp_path, "notes", reports(20), 20, lambda *_: None)
    assert here.search("keyword", "there", 5)
    seen = here._present
    assert seen is not None
    for _ in range(2):
        index.build(tmp_path, "notes", reports(20), 20, lambda *_: None)
    found = (tmp_path / "notes.json").stat()
    newest = (found.st_mtime_ns, found.st_ino)
    assert seen.mark != newest
    here._present = seen._replace(mark=newest)  # as if it had looked just before the newest came
    assert here.search("keyword", "there", 5)


def test_a_search_reads_one_index_although_another_comes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of one index never name the documents of another."""
    here, current = Index(tmp_path, "notes"), Index._current
    texts = ("gallstones without signs of cholecystitis", "a spiculated mass of the breast")
    old, new = (
        [Report(id, text, text, "CT", "chest", 2024) for id, text in enumerate(each)] for each in (texts, texts[::-1])
    )
    index.build(tmp_path, "notes", old, 2, lambda *_: None)

    def and_then_another(self: Index) -> Any:
        found = current(self)
        if not (tmp_path / "come").exists():
            (tmp_path / "come").touch()
            index.build(tmp_path, "notes", new, 2, lambda *_: None)
            current(self)  # as another thread's search does
        return found

    monkeypatch.setattr(Index, "_current", and_then_another)
    assert here.search("semantic", "gallstones", 1)[0]["title"] == texts[0]


def test_progress_is_that_of_the_work_and_the_last_document_is_done_when_the_index_answers(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    answers: list[bool] = []

    def progress(done: int, expected: int) -> None:
        told.append((done, expected))
        answers.append((tmp_path / "reports.json").exists())

    index.build(tmp_path, "reports", reports(1_200), 1_200, progress)
    done = [each for each, _ in told]
    assert done == sorted(done)
    assert told[0] == (0, 1_200)
    assert told[-1] == (1_200, 1_200)
    assert [there for (each, _), there in zip(told, answers, strict=True) if each == 1_200] == [True]
    assert len({each for each in done if 120 < each < 1_200}) >= 5, "meaning, most of the work, is told as it goes"


def test_a_large_index_does_not_lie_in_memory_as_a_whole() -> None:
    texts = [each.body for each in reports(3_000)]
    tracemalloc.start()
    try:
        space = Space.of(texts, list(range(3_000)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3_000 * BUCKETS * 4, "the matrix of all texts alone would be larger"
    assert space.vectors.shape == (3_000, DIMENSIONS)


def test_a_text_without_a_word_is_far_from_everything() -> None:
    assert Space.of(["", "a cyst of the liver"], [1, 2]).nearest("liver cyst", 2)[0][0] == 2
