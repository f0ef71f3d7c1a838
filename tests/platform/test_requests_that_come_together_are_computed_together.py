"""Dynamic batching: many at once make few batches, none larger than allowed; an error reaches those who asked; a full queue refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from aurelius_platform.imaging import rendering
from aurelius_platform.imaging.catalogue import Catalogue
from aurelius_platform.ml.batching import Batcher, OverloadedError
from aurelius_platform.ml.model import EDGE, Model


async def test_few_batches_answer_many() -> None:
    sizes = []

    def work(items: list[int]) -> list[int]:
        sizes.append(len(items))
        return [item * 2 for item in items]

    async with Batcher(work, largest=8) as batcher:
        answers = await asyncio.gather(*(batcher.ask(number) for number in range(50)))
    assert answers == [number * 2 for number in range(50)]
    assert (max(sizes), sum(sizes), len(sizes)) == (8, 50, 7)


async def test_an_error_belongs_to_its_batch() -> None:
    def work(items: list[int]) -> list[int]:
        if 13 in items:
            raise ValueError("unlucky")
        return items

    async with Batcher(work, largest=1) as batcher:
        answers = await asyncio.gather(*(batcher.ask(number) for number in (12, 13, 14)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["12", "unlucky", "14"]


async def test_a_full_queue_refuses() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: items, most=2)  # nobody works
    waiting = [asyncio.ensure_future(batcher.ask(number)) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await batcher.ask(3)
    for each in waiting:
        each.cancel()


def test_a_batch_says_the_same_as_each_alone(built: Path) -> None:
    model = Model(built / "modality-1.onnx")
    parts = [study.slices[0] for study in Catalogue.load(built / "catalogue.json").studies]
    slices = np.stack([np.frombuffer(rendering.tensor(part), "<f4").reshape(1, EDGE, EDGE) for part in parts])
    together, alone = model.run(slices), [model.run(each[None])[0] for each in slices]
    assert [each.label for each in together] == [each.label for each in alone]


def test_the_model_knows_its_own_slices(built: Path) -> None:
    model = Model(built / "modality-1.onnx")
    studies = [each for each in Catalogue.load(built / "catalogue.json").studies if each.modality in ("CT", "MR", "US")]
    parts = [(study.modality, part) for study in studies for part in study.slices[:8]]
    slices = np.stack([np.frombuffer(rendering.tensor(part), "<f4").reshape(1, EDGE, EDGE) for _, part in parts])
    right = sum(found.label == modality for found, (modality, _) in zip(model.run(slices), parts, strict=True))
    assert right / len(parts) > 0.8
