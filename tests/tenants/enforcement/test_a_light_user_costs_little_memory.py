from __future__ import annotations

import random

from .stage import ClockedStage, months_around
from .test_windows_slide import START

USERS = 300
BYTES = 300


def test_a_light_user_costs_at_most_300_bytes(clocked: ClockedStage) -> None:
    """Twenty calls spread over a day, with the three windows of the standard tier; all of Redis's overhead included."""
    from datetime import UTC, datetime

    clocked.tenant(months=months_around(datetime.fromtimestamp(START / 1000, UTC)))
    generator = random.Random(1)
    texts = [clocked.key() for _ in range(USERS)]
    clocked.decide_at(START, texts[0])
    users = [clocked.command("EXISTS", f"u:{{acme}}:{text.decode().split('_')[3][:8]}") for text in texts[1:]]
    assert not any(users)
    clocked.command("MEMORY", "PURGE")
    before = used_memory(clocked)
    for text in texts[1:]:
        for moment in sorted(START + generator.randrange(86_000_000) for _ in range(20)):
            assert clocked.decide_at(moment, text, route_class="").allowed  # what is billed goes to the ledger and away
    clocked.command("MEMORY", "PURGE")
    assert (used_memory(clocked) - before) / (USERS - 1) <= BYTES


def used_memory(stage: ClockedStage) -> int:
    text = stage.command("INFO", "memory").decode()
    return int(text.split("used_memory:")[1].split()[0])
