"""Decisions on asyncio, each over the process's one connection to the server that has the tenant (redis/pipe.py)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter as TallyOf
from collections.abc import Coroutine
from functools import partial
from typing import Any, cast

from ... import spans
from ...decisions import Decision
from .. import metrics
from ..config import Config
from ..errors import RedisUnavailableError, UnknownTenantError
from ..protocol.calls import Call
from ..protocol.wire import LATE, NOT_BUILT, OUT_OF_DATE
from ..redis.address import Address
from ..redis.cluster import Topology, is_cluster
from ..redis.pipe import Pipe
from .core import INVALID_KEY, Builder, Core, Witness
from .failure import Breaker
from .known import Known
from .leases import Leases, Shape
from .tracing import traced

log = logging.getLogger(__name__)

METRICS_SECONDS = 0.1


class AsyncEnforcer(Core):
    """Decisions on one event loop."""

    def __init__(self, config: Config, counts: Witness | None, builder: Builder, door: str) -> None:
        super().__init__(config, counts, door)
        self.builder = builder
        self._address = None if is_cluster(config.redis_url) else Address.parse(config.redis_url)
        if self._address is None:
            self.topology = Topology(Address.parse_many(config.redis_url), config.timeout)
        self._pipes: dict[Address, Pipe] = {}
        self._opening: dict[Address, asyncio.Future[Pipe]] = {}
        self._pipe: Pipe | None = None
        """The one of the only server; None in a cluster."""
        self._breaker = self.breaker_of("") if self._address else Breaker()
        self._granted_calls: list[Call] = []
        self._measured: list[float] = []
        self._flush_is_due = False
        self._taking: dict[Shape, asyncio.Task[bool]] = {}

    async def consume(self, text: bytes, *, cost: int = 1, route_class: str = "default", scopes: int = 0) -> Decision:
        """As Enforcer.consume."""
        known = self.recognise(text)
        if known is None:
            return self.reject_malformed()
        return await self.decide(text, known, cost=cost, route_class=route_class, scopes=scopes)

    def decide(
        self, text: bytes, known: Known, *, cost: int, route_class: str, scopes: int = 0
    ) -> Coroutine[Any, Any, Decision]:
        """As Enforcer.decide."""
        decide = self._traced if spans.enabled() else self._decide
        return decide(text, known, cost, route_class, scopes)

    async def _traced(self, text: bytes, known: Known, cost: int, route_class: str, scopes: int) -> Decision:
        with traced(self.door, known.credential.slug, route_class) as note:
            decision = await self._decide(text, known, cost, route_class, scopes)
            note(decision)
        return decision

    async def _decide(self, text: bytes, known: Known, cost: int, route_class: str, scopes: int) -> Decision:
        started = time.perf_counter()
        call = known.call(self.config, cost, route_class, scopes)
        try:
            leasable = self.leases is not None and call.cost == 1
            decision = await self._out_of_a_lease(text, known, call, scopes) if leasable else None
            if decision is None:
                decision = self.understand(await self._ask(call), call)
        except UnknownTenantError:
            decision = Decision(INVALID_KEY)
        except RedisUnavailableError as error:
            decision = self.without_redis(known, call, scopes, error.reason)
        self.conclude(text, known, call, decision)
        exemplar = spans.exemplar()
        if decision.code or exemplar:
            self.seconds.observe(time.perf_counter() - started, exemplar)
        else:
            self._measured.append(time.perf_counter() - started)
            self._flush_soon()
        return decision

    async def close(self) -> None:
        """Settle the leases of this process, those that are on their way too. Call it when the application ends; without it the last of them
        are settled when the process ends, and what is on its way then stays in the month."""
        if self.leases is not None:
            if self._taking:
                await asyncio.wait(self._taking.values())
            await asyncio.to_thread(self.leases.settle_all)

    def count_granted(self, call: Call, calls: int = 1) -> None:
        """Noted now and brought to the metrics in a moment, many at once: a lock and a look-up for each call would cost more than the rest."""
        self._granted_calls.append(call)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_later(METRICS_SECONDS, self.flush_metrics)

    def flush_metrics(self) -> None:
        """Bring what was noted to the metrics."""
        self._flush_is_due = False
        calls, self._granted_calls = self._granted_calls, []
        measured, self._measured = self._measured, []
        for call, number in TallyOf(calls).items():
            super().count_granted(call, number)
        metrics.observe_all(self.seconds, measured)

    async def pipe(self, slug: str) -> Pipe:
        """The open connection to the tenant's server; callers that come together open one. Raises RedisUnavailableError."""
        place = self._address or cast(Topology, self.topology).where(slug)
        pipe = self._pipes.get(place)
        if pipe is not None and pipe.alive:
            return pipe
        opening = self._opening.get(place)
        if opening is None:
            opening = self._opening[place] = asyncio.ensure_future(Pipe.open(place, self.config.timeout))
        try:
            pipe = self._pipes[place] = await asyncio.shield(opening)
            if self._address is not None:
                self._pipe = pipe
        finally:
            if self._opening.get(place) is opening and opening.done():
                del self._opening[place]
        return pipe

    async def _out_of_a_lease(self, text: bytes, known: Known, call: Call, scopes: int) -> Decision | None:
        """A decision out of a lease that is there or due; None when the call must ask for itself. One lease at a time is asked for."""
        leases, shape = cast(Leases, self.leases), (text, call.route_class, scopes)
        decision = self.leased(text, known, call, scopes)
        while decision is None and (taking := self._taking.get(shape)) is not None:
            await asyncio.wait((taking,))
            decision = self.leased(text, known, call, scopes)
        if decision is not None:
            present = leases.of(shape)
            if present is not None and present.next_is_due() and shape not in self._taking:
                self._take(text, known, call, scopes, known.lease(call, leases.size, scopes))
            return decision
        lease = self.lease_due(text, known, call, scopes)
        if lease is None or not await asyncio.shield(self._take(text, known, call, scopes, lease)):
            return None
        return self.leased(text, known, call, scopes)

    def _take(self, text: bytes, known: Known, call: Call, scopes: int, lease: Call) -> asyncio.Task[bool]:
        """Take a lease, to the end whoever leaves meanwhile: what Redis has counted must be settled. Calls that find none wait for it.

        Where nobody waits (the present lease lasts) and it fails, the calls themselves will find out why.
        """

        async def take() -> bool:
            return self.begin_lease(text, known, call, scopes, lease, await self._ask(lease))

        shape = (text, call.route_class, scopes)
        taking = self._taking[shape] = asyncio.ensure_future(take())
        taking.add_done_callback(partial(self._taken, shape))
        return taking

    def _taken(self, shape: Shape, taking: asyncio.Task[bool]) -> None:
        del self._taking[shape]
        error = None if taking.cancelled() else taking.exception()
        if error is not None and not isinstance(error, UnknownTenantError | RedisUnavailableError):
            log.error("taking a lease failed", exc_info=error)

    async def _ask(self, call: Call) -> bytes:
        pipe = self._pipe
        if pipe is None or not pipe.alive or not self._breaker.calm:
            return await self._ask_with_care(call)
        started = time.monotonic()
        try:
            answer = await pipe.ask(call.command)
            if pipe.heard(answer):
                return cast(bytes, answer)
            return await self._insist(call, pipe, answer, started)
        except RedisUnavailableError as error:
            self._breaker.failed(error)
            raise

    async def _ask_with_care(self, call: Call) -> bytes:
        """Where a connection must be opened, Redis has failed lately, or a cluster says which server to ask."""
        if self.topology is not None and not self.topology.known:
            await asyncio.to_thread(self.topology.refresh)
        breaker = self.breaker_of(call.slug)
        if not breaker.closed():
            raise RedisUnavailableError("breaker")
        try:
            try:
                reply = await self._converse(call)
            except RedisUnavailableError as error:
                if not self.elsewhere(call.slug, error):
                    raise
                breaker = self.breaker_of(call.slug)
                reply = await self._converse(call)
        except RedisUnavailableError as error:
            breaker.failed(error)
            raise
        breaker.succeeded()
        return reply

    async def _converse(self, call: Call) -> bytes:
        pipe = await self.pipe(call.slug)
        started = time.monotonic()
        answer = await pipe.ask(call.command)
        if pipe.heard(answer):
            return cast(bytes, answer)
        return await self._insist(call, pipe, answer, started)

    async def _insist(self, call: Call, pipe: Pipe, answer: Any, started: float) -> bytes:
        """After an answer that is no decision, so that nothing was counted: do what it says, and ask again."""
        reply = await pipe.insist(call.command, answer)
        if reply[0] == LATE and time.monotonic() - started < self.config.timeout / 2:
            pipe.clock.set(int.from_bytes(reply[1:9], "big"), time.monotonic())
            reply = await pipe.decide(call.command)
        if reply[0] in (NOT_BUILT, OUT_OF_DATE):
            await asyncio.to_thread(self.builder.build, call.slug)
            reply = await (await self.pipe(call.slug)).decide(call.command)
        if reply[0] in (LATE, NOT_BUILT, OUT_OF_DATE):
            raise RedisUnavailableError("late" if reply[0] == LATE else "not_built")
        return reply
