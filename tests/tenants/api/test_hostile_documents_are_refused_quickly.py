"""CPU time, not wall time: the machine may be busy."""

from __future__ import annotations

import time

import pytest

from tenants.api import parsers
from tenants.problems import ProblemError

EIGHT_MEBIBYTES = 8 * 1024 * 1024
HOSTILE = {
    "brackets": b"[" * EIGHT_MEBIBYTES,
    "pairs of brackets": b"[]" * (EIGHT_MEBIBYTES // 2),
    "objects": b'{"a":' * (EIGHT_MEBIBYTES // 5),
    "a string of quotes that never ends": b"[" * 40 + b'"' + b'\\"' * (EIGHT_MEBIBYTES // 2),
    "a string of backslashes that never ends": b"[" * 40 + b'"' + b"\\" * EIGHT_MEBIBYTES,
    "quotes": b'"' * EIGHT_MEBIBYTES,
    "a million members": b"{" + b",".join(b'"%d":1' % number for number in range(700_000)) + b"}",
    "a number": b"9" * EIGHT_MEBIBYTES,
    "a fraction": b"0." + b"9" * EIGHT_MEBIBYTES,
    "an exponent": b"[1e" + b"9" * EIGHT_MEBIBYTES + b"]",
    "halves of pairs": b'["' + rb"\ud800" * (EIGHT_MEBIBYTES // 6) + b'"]',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_within_a_second(name: str) -> None:
    started = time.process_time()
    with pytest.raises(ProblemError) as refusal:
        parsers.loads(HOSTILE[name], max_members=100_000)
    assert time.process_time() - started < 1
    assert refusal.value.code == "malformed_json"


def test_depth_counts_brackets_outside_of_strings() -> None:
    assert parsers.loads(b'["' + b"[{" * 40 + b'"]') == ["[{" * 40]
    assert parsers.loads(b'["\\"' + b"[" * 40 + b'"]') == ['"' + "[" * 40]
    deep = b"[" * parsers.MAX_DEPTH + b"]" * parsers.MAX_DEPTH
    assert parsers.loads(deep)
    with pytest.raises(ProblemError, match="nested"):
        parsers.loads(b"[" + deep + b"]")
