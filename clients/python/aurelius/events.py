"""Usage events: taken in microseconds, kept on disk, sent in batches by a thread, counted once whatever is repeated."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import json
import logging
import math
import os
import platform
import re
import threading
import time as clock
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from types import TracebackType
from typing import Any, Union

from .client import Client, Problem, Unavailable
from .forking import begins_anew_in_a_child
from .retrying import backoff
from .spool import MemoryQueue, Queue, Spool

BATCH = 500
MOST_IN_A_BATCH = 1_000
HOLD = 60.0
"""Seconds in which a tenant whose key is refused (401, 402, 403) is not tried again; others go on."""

OF_THE_CONTENT = frozenset({400, 413, 422})
"""Answers to a request that blame what is in it: sending the same again cannot help. Any other may be another one later."""

WRONG_TENANT = "wrong_tenant"
PATH = "events"
MAX_EXPONENT = 30
MAX_TEXT = 200
"""Characters of an id, a source and a type."""

MAX_LABEL = 120
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
Number = Union[int, float, str, Decimal]
Event = dict[str, Any]
KeyOf = Callable[[str], str]
OnRejected = Callable[[Event, Mapping[str, Any]], None]
Label = Union[str, int, float, bool, Decimal, uuid.UUID, None]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_KEY = re.compile(r"gpk_[a-z]+_(?P<tenant>[a-z0-9-]+)_[a-z2-7]{16}_[A-Za-z0-9_-]+")
log: logging.Logger = logging.getLogger("aurelius")


def event_id(*parts: object) -> str:
    """An id that is the same whenever the same fact is told: `event_id("job-17", interval_start)`. An instant is one in every time zone."""
    text = json.dumps([_same(part) for part in parts], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Events:
    """Sends usage events of one tenant, or of many.

    `send` returns once the event is kept: on disk with a `spool`, in memory without one. A thread sends what waits every `every` seconds, or
    as soon as `batch` events wait. What the portal cannot take now is tried again, with backoff and for ever; what it rejects for good
    (a conflict, an unknown type, no event at all) goes to `on_rejected` and the log, and holds nothing up.
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        source: str = "",
        spool: Queue | str | os.PathLike[str] | None = None,
        key_of: KeyOf | Mapping[str, str] | None = None,
        batch: int = BATCH,
        every: float = 1.0,
        on_rejected: OnRejected | None = None,
    ) -> None:
        """`source` names who measures (CloudEvents' source), such as /gateway/eu1; by default this host's name.

        The portal books an event for the tenant of the key that sends it. `client` has that key; a service of many tenants says by
        `key_of` (a mapping or a function from slug to key, each with the scope usage:write) whose key sends an event with `tenant=`.
        An event of a tenant whose key is not known waits for it: it is never booked for another.
        A `spool` is a folder, a Spool, or None for memory. Raises ValueError, SpoolBusyError, OSError.
        """
        self._client = (client or Client()).derived(attempts=1)  # the thread has a patience of its own
        self._own_tenant = _tenant_of(self._client)
        self._source = _text("source", source or f"/host/{platform.node()}")
        if not 1 <= batch <= MOST_IN_A_BATCH:
            raise ValueError(f"A batch has 1 to {MOST_IN_A_BATCH} events.")
        self._batch = batch
        if spool is None:
            self._queue: Queue = MemoryQueue()
        elif isinstance(spool, (str, os.PathLike)):
            self._queue = Spool(spool)
        else:
            self._queue = spool
        self._key_of: KeyOf | None = key_of.__getitem__ if isinstance(key_of, Mapping) else key_of
        self._clients: dict[str, tuple[str, Client]] = {}
        self._every = every
        self._on_rejected = on_rejected
        self._held: dict[str, float] = {}
        self._closed = False
        self.accepted: int = 0
        self.duplicates: int = 0
        self.rejected: int = 0
        """What became of the events since the start."""
        self._begin()
        self._thread.start()
        begins_anew_in_a_child(self)
        atexit.register(self.close)

    def _begin(self) -> None:
        self._wake = threading.Condition()
        self._closing = self._urgent = self._unborn = False
        self._flushing = 0
        self._put_off = 0
        """Events of held tenants that were moved to the end since others were last seen."""
        self._all_held = -1
        """How many events waited when all of them turned out to be held; -1: others may be among them."""
        self._thread = threading.Thread(target=self._run, name="aurelius events", daemon=True)

    def after_fork(self) -> None:
        """In a child: what waits is its parent's, which sends it; the thread is not here, and starts with the first event."""
        if isinstance(self._queue, MemoryQueue):
            self._queue = MemoryQueue(self._queue.most)  # a spool sees to itself
        self.accepted = self.duplicates = self.rejected = 0
        self._begin()
        self._unborn = True

    def send(
        self,
        type: str,
        quantity: Number,
        *,
        id: str = "",
        time: datetime | None = None,
        source: str = "",
        tenant: str = "",
        corrects: Mapping[str, str] | None = None,
        **dimensions: Label,
    ) -> str:
        """Keep a usage event, and return its id. Never waits for the network.

        `quantity` is in the unit of the event type; dimensions are labels such as model, user and project (None is left out). A label is made
        fit: cut after 120 characters, what cannot be printed replaced, so that no text that a client chose costs the event.
        With an `id` of your own (see event_id) the same fact told twice counts once, across restarts too; without one it gets a random
        id once; one that the portal would not take is hashed. Never let a client choose it: what is told twice is free.
        `time` is aware, by default now. `corrects` is the {"source", "id"} of the event that a signed quantity corrects.

        Raises SpoolFullError when there is no room, OSError when the disk refuses, ValueError or TypeError for what is no event,
        RuntimeError after `close`.
        """
        if self._closed:
            raise RuntimeError("These Events are closed: the event was not taken.")
        at = datetime.now(timezone.utc) if time is None else time
        if not isinstance(at, datetime):
            raise TypeError(f"`time` is a datetime, not {at!r:.40}.")
        if at.tzinfo is None:
            raise ValueError("`time` needs a time zone.")
        event: Event = {
            "specversion": "1.0",
            "id": _id(id),
            "source": _text("source", source) if source else self._source,
            "type": _text("type", type),
            "time": at.isoformat(),
            "data": {"quantity": _decimal(quantity), **_labels(dimensions)},
        }
        if corrects is not None:
            event["data"]["corrects"] = {name: _text(name, corrects[name]) for name in ("source", "id")}
        if tenant:
            event["subject"] = _text(
                "tenant", tenant
            )  # so that the portal books it for nobody else, whatever key brings it
        self._queue.append([tenant, event])
        if self._unborn:
            self._be_born()
        if len(self._queue) >= self._batch:
            with self._wake:
                self._wake.notify_all()
        return str(event["id"])

    def _be_born(self) -> None:
        with self._wake:
            if self._unborn:
                self._unborn = False
                self._thread.start()

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._queue)

    def flush(self, timeout: float = 10.0) -> bool:
        """Send now, and wait until nothing waits any more. False when `timeout` seconds were not enough."""
        with self._wake:
            self._urgent = True  # one try at once, even within a backoff
            self._flushing += 1
            self._wake.notify_all()
            self._wake.wait_for(lambda: not len(self._queue) or not self._thread.is_alive(), timeout)
            self._flushing -= 1
        return not len(self._queue)

    async def aflush(self, timeout: float = 10.0) -> bool:
        """`flush` for asyncio. `send` needs no such form: it does not wait."""
        return await asyncio.get_running_loop().run_in_executor(None, self.flush, timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Try to send what waits, then stop. False when events are left: in a spool they wait for the next start.

        Also called when the interpreter ends. May be called more than once.
        """
        atexit.unregister(self.close)
        if self._closed:
            return not len(self._queue)
        self.flush(timeout)
        self._closed = True  # from here on `send` takes nothing
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if not self._unborn:
            self._thread.join(timeout + self._client.timeout)
        left = len(self._queue)
        if left:
            log.warning("%s usage events are not sent yet", left)
        self._queue.close()
        return not left

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        failures = 0
        while True:
            wait = self._every
            try:
                wait = self._pass()
                failures = 0
            except Unavailable as error:
                failures += 1
                wait = backoff(failures, error.retry_after, first=min(self._every, 1.0), longest=60.0)
                log.warning("usage events wait (%s), next try in %.1f s: %s", len(self._queue), wait, error)
            except Exception:  # whatever it is, the events must not be lost with the thread
                failures += 1
                wait = backoff(failures, 1.0)
                log.exception("sending usage events failed, next try in %.1f s", wait)
            with self._wake:
                self._wake.notify_all()
                if not self._closing and wait:
                    self._wake.wait_for(
                        self._in_haste if failures or self._put_off or self._all_held >= 0 else self._is_due, wait
                    )
                if self._closing:
                    return
                self._urgent = False

    def _in_haste(self) -> bool:
        return self._closing or self._urgent

    def _is_due(self) -> bool:
        waiting = len(self._queue)
        return self._closing or self._urgent or waiting >= self._batch or bool(self._flushing and waiting)

    def _pass(self) -> float:
        """Send the oldest batch. Returns the seconds to wait before the next; raises Unavailable when it must come again."""
        rows = self._queue.head(self._batch)
        if not rows:
            return self._every
        now = clock.monotonic()
        tenants: dict[str, list[Event]] = {}
        for tenant, record in rows:
            tenants.setdefault(tenant, []).append(record)
        still = {tenant: until for tenant, until in self._held.items() if until > now}
        if len(still) < len(self._held):
            self._held, self._all_held = still, -1
        held = tenants.keys() & still.keys()
        if held != tenants.keys():
            self._put_off, self._all_held = 0, -1
        else:
            if self._put_off >= len(self._queue):  # once around
                self._put_off, self._all_held = 0, len(self._queue)
            if self._all_held == len(self._queue):
                return min(self._every, *(until - now for until in still.values()))
        for tenant in tenants.keys() - held:
            if not self._deliver(tenant, tenants[tenant]):
                held.add(tenant)
        for tenant in held:  # to the end, so that other tenants' events go on
            for record in tenants[tenant]:
                self._queue.append([tenant, record], force=True)
                self._put_off += 1
        self._queue.done(len(rows))
        return 0.0 if len(self._queue) >= self._batch or held else self._every

    def _deliver(self, tenant: str, records: list[Event]) -> bool:
        """Whether the portal has decided on every record; False when this tenant's key is refused for now. Raises Unavailable."""
        try:
            client = self._client_of(tenant)
        except Exception as error:  # whatever a function for keys does, other tenants' events go on
            self._hold(tenant, "there is no key for it" if isinstance(error, KeyError) else f"no key: {error}")
            return False
        try:
            answer = client.send("POST", PATH, records)
        except Problem as problem:
            if problem.status in (401, 402, 403):
                self._hold(tenant, str(problem))
                return False
            if problem.status == 413 or (problem.status in OF_THE_CONTENT and problem.code):
                return self._divide(tenant, records, problem)
            if self._key_of is None:
                raise Unavailable(f"HTTP {problem.status}: {problem}", problem.retry_after or 1.0) from problem
            self._hold(
                tenant, f"HTTP {problem.status}: {problem}", problem.retry_after
            )  # other tenants' may get through
            return False
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list) or len(results) != len(records):
            raise Unavailable("an answer that does not say what became of every event")
        if any(result.get("code") == WRONG_TENANT for result in results):
            self._hold(tenant, "the key that sends them is another tenant's")
            return False
        for result in results:
            status = result["status"]
            if status == "accepted":
                self.accepted += 1
            elif status == "duplicate":
                self.duplicates += 1
            else:
                self._reject(records[result["index"]], result)
        return True

    def _divide(self, tenant: str, records: list[Event], problem: Problem) -> bool:
        """The portal refuses the request as a whole (too large, or one event breaks it): find the one."""
        if len(records) == 1:
            self._reject(records[0], problem.body)
            return True
        middle = len(records) // 2
        first = self._deliver(tenant, records[:middle])
        return self._deliver(tenant, records[middle:]) and first

    def _reject(self, record: Event, reason: Mapping[str, Any]) -> None:
        self.rejected += 1
        log.error("usage event %s of %s: %s", record["id"], record["source"], reason.get("detail") or reason)
        if self._on_rejected is not None:
            try:
                self._on_rejected(record, reason)
            except Exception:  # the application's own: events behind this one must not wait for it to be mended
                log.exception("on_rejected failed for usage event %s", record["id"])

    def _hold(self, tenant: str, why: str, seconds: float = 0.0) -> None:
        seconds = seconds or HOLD
        self._held[tenant] = clock.monotonic() + seconds
        log.error("usage events of %s wait %.0f s: %s", tenant or "this key's tenant", seconds, why)

    def _client_of(self, tenant: str) -> Client:
        """The client with the tenant's key. Raises KeyError, or what a function for keys raises."""
        if not tenant:
            return self._client
        if self._key_of is None:
            if self._own_tenant not in ("", tenant):
                raise KeyError(tenant)
            return self._client
        key = self._key_of(tenant)
        if not key:  # never under the key of another tenant
            raise KeyError(tenant)
        found = self._clients.get(tenant)
        if found is None or found[0] != key:  # a rotated key
            found = self._clients[tenant] = (key, self._client.derived(key=key))
        return found[1]


def _tenant_of(client: Client) -> str:
    """Whose key the client has, as the key's text says; "" for a text that is no key."""
    found = _KEY.fullmatch(client._key)
    return found["tenant"] if found else ""


def _same(part: object) -> str:
    if isinstance(part, datetime) and part.tzinfo is not None:
        part = part.astimezone(timezone.utc)
    return str(part)


def _id(id: object) -> str:
    if id is None or id == "":
        return uuid.uuid4().hex
    text = str(id)
    return text if len(text) <= MAX_TEXT and text.isprintable() else event_id(text)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{name}` is a text, not {value!r:.40}.")
    if not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise ValueError(f"`{name}` is a text of 1 to {MAX_TEXT} printable characters, not {value!r:.40}.")
    return value


def _labels(dimensions: Mapping[str, Label]) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {}
    for name, value in dimensions.items():
        if value is None:
            continue
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r:.60} is no label: small letters, digits and _, at most 40.")
        if isinstance(value, str):
            fit = len(value) <= MAX_LABEL and value.isprintable()
            found[name] = value if fit else "".join(c if c.isprintable() else UNREADABLE for c in value[:MAX_LABEL])
        elif isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            found[name] = value
        elif isinstance(value, (float, Decimal, uuid.UUID)):
            found[name] = str(value)
        else:
            raise ValueError(f"The label {name} is a text, a number or a truth value of JSON, not {value!r:.40}.")
    return found


def _decimal(quantity: Number) -> str:
    """A plain decimal text. Raises ValueError for what is no finite number, and for what Python alone reads as one ("1_000", other digits)."""
    text = str(quantity)
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = None
    if number is None or "_" in text or not text.isascii():
        raise ValueError(f"{text[:40]!r} is no number.")
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError("A quantity is a finite number of a size that can be counted.")
    return format(number, "f")
