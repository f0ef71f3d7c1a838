"""What this process refused because a limit was hit: counted on the refused path only, written to the database in the background.

These counts are shown ("who hits limits most") and never billed, so they are plain increments: what a killed process had not written
yet is missing, and a write whose answer was lost may count twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

Row = tuple[str, int, str, str]
"""tenant's slug, start of the UTC hour (epoch s), key id, the limit: minute, hour, day or month"""

MOST_ROWS = 20_000
"""Further rows are not kept while the database cannot be written; those that are there go on counting."""

RefusalSink = Callable[[Mapping[Row, int]], None]


class Refusals:
    """Counts by Row since the last flush. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[Row, int] = {}

    def add(self, row: Row, calls: int = 1) -> None:
        """That many refused calls; a lock and a dict, no input or output."""
        with self._lock:
            if row in self._rows:
                self._rows[row] += calls
            elif len(self._rows) < MOST_ROWS:
                self._rows[row] = calls

    def flush(self, sink: RefusalSink) -> None:
        """Hand over what was counted. When `sink` raises, the counts stay and go again next time."""
        with self._lock:
            rows, self._rows = self._rows, {}
        if not rows:
            return
        try:
            sink(rows)
        except Exception:
            for row, calls in rows.items():
                self.add(row, calls)
            raise
