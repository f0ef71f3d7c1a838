"""Portions of a month in several processes. Imports nothing of Django by itself: it is what a new process loads first."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import datetime

Answers = list[tuple[int, str, str]]
"""(tenant id, outcome, detail) of each tenant of a portion."""


def each_portion(portions: Sequence[Sequence[int]], month: str, now: datetime, processes: int) -> Iterator[Answers]:
    """Close the portions, given by tenant ids, in this process and `processes` - 1 others; answers come as they are there.

    A portion is worked on by one process alone. Raises BrokenProcessPool when another process was killed; what is closed stays closed.
    """
    left = iter(portions)
    if processes <= 1:
        for ids in left:
            yield _close(ids, month, now)
        return
    going: deque[Future[Answers]] = deque()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes - 1, mp_context=context, initializer=_set_up) as others:
        for ids in left:
            going.append(others.submit(_close, ids, month, now))
            if len(going) < 2 * (processes - 1):
                continue
            if (own := next(left, None)) is not None:
                yield _close(own, month, now)
            while going and going[0].done():
                yield going.popleft().result()
        for future in going:
            yield future.result()


def _set_up() -> None:
    import django

    django.setup()


def _close(ids: Sequence[int], month: str, now: datetime) -> Answers:
    from metering.billing import portions
    from tenants.models import Tenant

    tenants = Tenant.objects.select_related("tier").filter(pk__in=ids).order_by("pk")
    return [(each.tenant.pk, each.outcome, each.detail) for each in portions.close(list(tenants), month, now)]
