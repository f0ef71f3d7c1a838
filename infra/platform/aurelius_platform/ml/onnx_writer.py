"""Writes ONNX files by hand: the few protobuf messages of a feed-forward model (onnx.proto, IR version 8, operator set 17)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, INTS, INT = 1, 7, 2  # TensorProto.FLOAT; AttributeProto.INTS and INT
Shape = Sequence[int | str]


def varint(number: int) -> bytes:
    """A number in protobuf's variable length."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def integer(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, value: bytes | str) -> bytes:
    """A string, bytes or message."""
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name: str, values: NDArray[np.float32]) -> bytes:
    """TensorProto: dims 1, data_type 2, name 8, raw_data 9."""
    dims = b"".join(integer(1, size) for size in values.shape)
    raw = struct.pack(f"<{values.size}f", *values.ravel())
    return dims + integer(2, FLOAT) + block(8, name) + block(9, raw)


def node(operator: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    """NodeProto: input 1, output 2, name 3, op_type 4, attribute 5."""
    parts = [block(1, each) for each in inputs] + [block(2, output), block(3, output), block(4, operator)]
    for name, value in attributes.items():
        if isinstance(value, int):
            parts.append(block(5, block(1, name) + integer(3, value) + integer(20, INT)))
        else:
            numbers = b"".join(integer(8, each) for each in value)
            parts.append(block(5, block(1, name) + numbers + integer(20, INTS)))
    return b"".join(parts)


def value_info(name: str, shape: Shape) -> bytes:
    """ValueInfoProto of float numbers; a dimension with a name may have any size."""
    dims = b"".join(block(1, block(2, size) if isinstance(size, str) else integer(1, size)) for size in shape)
    return block(1, name) + block(2, block(1, integer(1, FLOAT) + block(2, dims)))


def model(
    name: str,
    nodes: Sequence[bytes],
    weights: Mapping[str, NDArray[np.float32]],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
) -> bytes:
    """ModelProto, ready to be written to a file."""
    graph = b"".join(block(1, each) for each in nodes) + block(2, name)
    graph += b"".join(block(5, tensor(key, values)) for key, values in weights.items())
    graph += b"".join(block(11, value_info(key, shape)) for key, shape in inputs.items())
    graph += b"".join(block(12, value_info(key, shape)) for key, shape in outputs.items())
    return integer(1, 8) + block(2, "aurelius-platform") + block(7, graph) + block(8, block(1, "") + integer(2, 17))
