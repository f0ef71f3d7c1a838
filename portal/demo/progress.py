"""What the person at the keyboard sees: one line a step, with its time, and a pulse while a step is long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_START = "\r\033[K"
PULSE = 5.0  # seconds between signs of life when the output is no terminal


def say(text: str = "") -> None:
    """One line, at once."""
    print(text, flush=True)


@contextmanager
def step(text: str, detail: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Announce a step, count its seconds while it runs, and close it with its time (or with "failed").

    `detail` says what it is at, for steps that know.
    """
    live, done, started = sys.stdout.isatty(), threading.Event(), time.monotonic()

    def pulse() -> None:
        while not done.wait(1.0 if live else PULSE):
            seconds, now = time.monotonic() - started, detail()[:70]
            if live:
                print(f"{LINE_START}  {text} … {seconds:.0f} s  {now}", end="", flush=True)
            else:
                print(f"  {text}: {seconds:.0f} s so far  {now}".rstrip(), flush=True)

    ticker = threading.Thread(target=pulse, daemon=True)
    if live:
        print(f"  {text} …", end="", flush=True)
    ticker.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        done.set()
        ticker.join()
        print(f"{LINE_START if live else ''}  {text} … {outcome} in {time.monotonic() - started:.1f} s", flush=True)
