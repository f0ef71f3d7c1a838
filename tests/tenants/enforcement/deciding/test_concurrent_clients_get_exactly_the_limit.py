from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..stage import Stage

CLIENT = """
import json, sys, threading
from tests.tenants.enforcement.stage import Stage
url, text, threads, calls = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])
enforcer = Stage(url).enforcer(timeout=5.0)
granted, gate = [], threading.Barrier(threads)
def work():
    gate.wait()
    granted.extend(enforcer.consume(text).allowed for _ in range(calls))
team = [threading.Thread(target=work) for _ in range(threads)]
[t.start() for t in team]; [t.join() for t in team]
print(json.dumps(sum(granted)))
"""


def test_fifty_threads_get_exactly_sixty_of_a_minute(stage: Stage) -> None:
    stage.tenant()
    text = stage.key()
    enforcer = stage.enforcer(timeout=5.0)
    with ThreadPoolExecutor(50) as team:
        decisions = list(team.map(lambda _: enforcer.consume(text), range(600)))
    assert Counter(decision.code for decision in decisions) == {"": 60, "rate_limit_exceeded": 540}
    assert sum(n for field, n in stage.usage().items() if field.count("|") == 3) == 60


def test_four_processes_get_exactly_the_quota(stage: Stage) -> None:
    stage.tenant(windows={}, quota=500)
    text = stage.key()
    command = [sys.executable, "-c", CLIENT, stage.url, text.decode(), "8", "50"]
    root = Path(__file__).parents[4]
    team = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(4)]
    granted = sum(json.loads(process.communicate(timeout=60)[0]) for process in team)
    assert granted == 500
    assert stage.usage()[next(field for field in stage.usage() if field.startswith("m|"))] == 500
