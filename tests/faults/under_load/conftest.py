from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.under_load.house import House, house


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as running:
        yield running
