"""What the person at the keyboard sees: one line a step, with its time, and a pulse while a step is long."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_START = "\r\033[K"
PULSE = 5.0  # seconds between signs of life when the output is no terminal


def say(text: str = "", end: str = "\n") -> None:
    """One line, at once. A reader that went away (a closed terminal, `| head`) does not stop the demo."""
    try:
        print(text, end=end, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (it stays open)


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
                say(f"{LINE_START}  {text} … {seconds:.0f} s  {now}", end="")
            else:
                say(f"  {text}: {seconds:.0f} s so far  {now}".rstrip())

    ticker = threading.Thread(target=pulse, daemon=True)
    if live:
        say(f"  {text} …", end="")
    ticker.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        done.set()
        ticker.join()
        say(f"{LINE_START if live else ''}  {text} … {outcome} in {time.monotonic() - started:.1f} s")
