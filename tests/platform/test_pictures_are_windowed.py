"""A window decides what is black and what is white; thumbnails and the model's square are made of the same pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from aurelius_platform.imaging import rendering
from aurelius_platform.imaging.catalogue import Catalogue


def test_below_is_black_above_is_white_between_is_linear() -> None:
    values = np.array([-200, -100, 0, 100, 200], np.float32)
    assert rendering.windowed(values, center=0, width=200).tolist() == [0, 0, 128, 255, 255]


def test_a_narrow_window_has_more_contrast(built: Path) -> None:
    study = next(each for each in Catalogue.load(built / "catalogue.json").studies if each.modality == "CT")
    wide, narrow = (
        np.asarray(Image.open(io.BytesIO(rendering.png(study.slices[0], center, width)))).std()
        for center, width in ((40, 4000), (40, 80))
    )
    assert narrow > wide


def test_every_slice_of_the_catalogue_can_be_rendered(built: Path) -> None:
    studies = Catalogue.load(built / "catalogue.json").studies
    assert {"CT", "MR", "US"} <= {study.modality for study in studies}
    for part in (part for study in studies for part in study.slices[:2]):
        picture = Image.open(io.BytesIO(rendering.png(part, edge=rendering.THUMBNAIL_EDGE)))
        assert max(picture.size) <= rendering.THUMBNAIL_EDGE
        square = np.frombuffer(rendering.tensor(part), "<f4")
        assert (square.size, square.min() >= 0, square.max() <= 1) == (rendering.TENSOR_EDGE**2, True, True)
