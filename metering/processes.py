"""Portions of a task in several processes. Imports nothing of Django by itself: it is what a new process loads first."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Portion = TypeVar("Portion")
Answer = TypeVar("Answer")


def each_portion(
    work: Callable[[Portion], Answer], portions: Iterable[Portion], processes: int
) -> Iterator[tuple[Portion, Answer]]:
    """`work` on the portions, in this process and `processes` - 1 others; each with its answer, as they are there.

    A portion is worked on by one process alone. `work` is a function of a module, and it, portions and answers can be pickled. Raises
    what `work` raises, and BrokenProcessPool when another process was killed; what is done stays done. Interrupted, it ends when the others have
    ended the portion that they have in hand.
    """
    left = iter(portions)
    if processes <= 1:
        for portion in left:
            yield portion, work(portion)
        return
    going: deque[tuple[Portion, Future[Answer]]] = deque()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes - 1, mp_context=context, initializer=_set_up) as others:
        try:
            for portion in left:
                going.append((portion, others.submit(work, portion)))
                if len(going) < 2 * (processes - 1):
                    continue
                own = next(left, None)
                if own is not None:
                    yield own, work(own)
                while going and going[0][1].done():
                    done, future = going.popleft()
                    yield done, future.result()
            for done, future in going:
                yield done, future.result()
        except BaseException:  # interrupted, or given up by the caller: what nobody has begun is not begun any more
            others.shutdown(cancel_futures=True)
            raise


def _set_up() -> None:
    # Ctrl-C goes to every process of a terminal. The first one decides; the others end what they have in hand, without a traceback each.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import django

    django.setup()
