"""Pixels of a slice as a person or a model wants them: windowed PNG, thumbnail, or a small square of numbers."""

from __future__ import annotations

import io
import warnings
from functools import lru_cache

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, convert_color_space
from pydicom.pixels.utils import pixel_array

from .catalogue import Slice, folder

Pixels = NDArray[np.float32]
TENSOR_EDGE = 64
THUMBNAIL_EDGE = 96


class UnreadableError(RuntimeError):
    """A file of the catalogue is gone, or its pixels cannot be decoded any more."""


@lru_cache(maxsize=64)
def decoded(part: Slice) -> tuple[Pixels, float, float]:
    """(values, window centre, window width): Hounsfield units or what the file rescales to; colours become brightness.

    The window is the file's own, else the middle 98 % of the values. Raises UnreadableError.
    """
    try:
        return _decoded(part)
    except Exception as error:  # whatever decoders do with bytes that are no picture
        raise UnreadableError(f"The picture in {part.file} cannot be read.") from error


def _decoded(part: Slice) -> tuple[Pixels, float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(folder() / part.file)
        frames = int(dataset.get("NumberOfFrames", 1) or 1)
        raw = pixel_array(dataset, index=part.frame) if frames > 1 else dataset.pixel_array
        if raw.ndim == 3:
            colours = dataset.PhotometricInterpretation
            if colours in ("YBR_FULL", "YBR_FULL_422") and raw.dtype == np.uint8:
                raw = convert_color_space(raw, colours, "RGB")
            values = raw.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        else:
            values = np.asarray(apply_modality_lut(raw, dataset), np.float32)
    center, width = _own_window(dataset) or _window_of(values)
    return values, center, width


def _own_window(dataset: pydicom.Dataset) -> tuple[float, float] | None:
    center, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    return (center, width) if center is not None and width is not None and width >= 1 else None


def _first(value: object) -> float | None:
    if value is None or value == "":
        return None
    return float(value[0] if isinstance(value, list | pydicom.multival.MultiValue) else value)  # type: ignore[arg-type]


def _window_of(values: Pixels) -> tuple[float, float]:
    low, high = (float(edge) for edge in np.percentile(values, [1, 99]))
    return (low + high) / 2, max(high - low, 1.0)


def windowed(values: Pixels, center: float, width: float) -> NDArray[np.uint8]:
    """Values below the window black, above it white, linear between (DICOM PS3.3 C.11.2.1.2.1, linear exact)."""
    scaled = (values - (center - width / 2)) / max(width, 1e-6)
    return np.asarray(np.clip(scaled, 0, 1) * 255 + 0.5, np.uint8)


def png(part: Slice, center: float | None = None, width: float | None = None, edge: int | None = None) -> bytes:
    """The slice as PNG; `edge` is the longest side in pixels, for thumbnails."""
    values, own_center, own_width = decoded(part)
    picture = Image.fromarray(
        windowed(values, own_center if center is None else center, own_width if width is None else width)
    )
    if edge is not None:
        picture.thumbnail((edge, edge))
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


@lru_cache(maxsize=512)
def tensor(part: Slice) -> bytes:
    """What the model sees: TENSOR_EDGE × TENSOR_EDGE float32 from 0 to 1, row by row, little-endian."""
    values, center, width = decoded(part)
    small = Image.fromarray(windowed(values, center, width)).resize((TENSOR_EDGE, TENSOR_EDGE), Image.Resampling.BOX)
    return (np.asarray(small, np.float32) / 255).astype("<f4").tobytes()
