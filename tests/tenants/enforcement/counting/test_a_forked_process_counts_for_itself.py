from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CODE = """
import json, os, threading
from tenants.enforcement.counting.counts import ProcessCounts

counts, rows = ProcessCounts(), []
counts.add(1, 3600, "g", "k", "default", 5)
parent = counts.process
counts.flush_regularly(lambda process, flushed: rows.append((process, [row.count for row in flushed])), 0.01)
reader, writer = os.pipe()
if os.fork() == 0:
    counts.add(1, 3600, "g", "k", "default", 2)
    while not rows:
        pass
    os.write(writer, json.dumps([counts.process != parent, rows[0][1], counts._thread.is_alive()]).encode())
    os._exit(0)
print(os.read(reader, 1000).decode())
"""


def test_a_child_has_its_own_name_counts_and_thread() -> None:
    root = Path(__file__).parents[4]
    said = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, cwd=root, check=True, timeout=60
    )
    assert json.loads(said.stdout) == [True, [2], True]
