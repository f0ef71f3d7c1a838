from __future__ import annotations

import random

from ..stage import ClockedStage, months_around
from .test_windows_slide import START

USERS = 100
BYTES = 300


def test_a_light_user_costs_at_most_300_bytes(clocked: ClockedStage) -> None:
    """Twenty calls spread over a day, with the three windows of the standard tier; Redis's overhead of a key included."""
    from datetime import UTC, datetime

    clocked.tenant(months=months_around(datetime.fromtimestamp(START / 1000, UTC)))
    generator = random.Random(1)
    texts = [clocked.key() for _ in range(USERS)]
    for text in texts:
        for moment in sorted(START + generator.randrange(86_000_000) for _ in range(20)):
            assert clocked.decide_at(moment, text, route_class="").allowed  # what is billed goes to the ledger and away
    sizes = [clocked.command("MEMORY", "USAGE", key) for key in clocked.command("KEYS", "u:*")]
    assert len(sizes) == USERS
    assert sum(sizes) / USERS <= BYTES
