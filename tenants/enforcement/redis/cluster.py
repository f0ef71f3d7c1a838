"""Enforcement on a Redis Cluster: which master has a tenant, and connections to it.

All keys of a tenant share the hash tag `{slug}`, so a tenant lives in one slot and every script sees all of it. What moves a tenant to
another server (a failover, a resharding) gives it a server of another generation: the deciding script refuses it there until it is built
from what has arrived and from the ledger, as after a restart (publishing/building.py). So nothing here has to be right for a limit to hold; a map
that is out of date costs a redirect, never a count.

A call that meets a slot on its way (ASK, TRYAGAIN) or a shard without a master is decided by the failure policy, as without Redis.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from binascii import crc_hqx
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ..errors import RedisUnavailableError
from ..protocol.resp import Words
from ..protocol.scripts import Script
from .address import Address
from .connection import Connection, Redis, ask_once

log = logging.getLogger(__name__)

SCHEMES = ("redis+cluster", "rediss+cluster")
SLOTS = 16_384
REFRESH_EVERY = 0.1
"""Seconds: however many calls find the map out of date, it is asked for once in this time."""

KEYED_BY = {"EVALSHA": 3}
"""Where a command has its first key, if not right behind its name."""


def slot_of(slug: str) -> int:
    """The slot of a tenant's keys: CRC16 (XMODEM) of the hash tag."""
    return crc_hqx(slug.encode(), 0) % SLOTS


class Topology:
    """Which master has which slot, learnt from any node that answers. Threads and event loops share one."""

    def __init__(self, seeds: Sequence[Address], timeout: float) -> None:
        """`timeout` (seconds) is the budget of asking one node."""
        self._seeds = list(seeds)
        self._timeout = timeout
        self._slots: list[Address | None] = []
        self._by_slug: dict[str, Address] = {}
        self._guard = threading.Lock()
        self._asked_at = float("-inf")

    @property
    def known(self) -> bool:
        """Has any node answered yet?"""
        return bool(self._slots)

    def where(self, slug: str) -> Address:
        """The master that has the tenant. Asks the cluster the first time only. Raises RedisUnavailableError."""
        found = self._by_slug.get(slug)
        if found is not None:
            return found
        if not self._slots:
            self.refresh()
        node = self._slots[slot_of(slug)]
        if node is None:
            self.refresh_soon()
            raise RedisUnavailableError("clusterdown", "no master serves this tenant's slot")
        if len(self._by_slug) > 100_000:
            self._by_slug.clear()
        self._by_slug[slug] = node
        return node

    def masters(self) -> list[Address]:
        """Every master. Raises RedisUnavailableError when the cluster never answered."""
        if not self._slots:
            self.refresh()
        return sorted({node for node in self._slots if node is not None})

    def unserved(self) -> int:
        """Slots without a master, as far as is known."""
        return self._slots.count(None)

    def learn(self, slug: str, error: RedisUnavailableError) -> bool:
        """After an error about a tenant: True when it told where to ask instead. The map is asked for anew in the background."""
        self._by_slug.pop(slug, None)
        self.refresh_soon()
        if error.reason != "moved":
            return False
        slot, _, where = str(error).rpartition("MOVED ")[2].partition(" ")
        host, _, port = where.rpartition(":")
        with self._guard:
            previous = self._slots[int(slot)]
            base = previous or self._seeds[0]
            self._slots[int(slot)] = base._replace(host=host or base.host, port=int(port))
        return True

    def refresh_soon(self) -> None:
        """Ask the cluster for its map in a thread of its own, unless that was done a moment ago."""
        now = time.monotonic()
        with self._guard:
            if now - self._asked_at < REFRESH_EVERY:
                return
            self._asked_at = now
        threading.Thread(target=self._refresh_quietly, name="cluster-map", daemon=True).start()

    def refresh(self) -> None:
        """Ask the cluster for its map now. Raises RedisUnavailableError when no node answers."""
        nodes = dict.fromkeys([*(node for node in self._slots if node is not None), *self._seeds])
        error: RedisUnavailableError | None = None
        for node in nodes:
            try:
                slots = self._read(node, ask_once(node, self._timeout, ("CLUSTER", "SLOTS")))
            except RedisUnavailableError as failure:
                error = failure
                continue
            if any(slots):
                with self._guard:
                    self._slots = slots
                    self._by_slug = {}
                return
        raise error or RedisUnavailableError("clusterdown", "the cluster serves no slots")

    def _refresh_quietly(self) -> None:
        try:
            self.refresh()
        except RedisUnavailableError as error:
            log.warning("cluster map not read", extra={"reason": error.reason})

    @staticmethod
    def _read(asked: Address, ranges: Any) -> list[Address | None]:
        slots: list[Address | None] = [None] * SLOTS
        for first, last, master, *_ in ranges:
            host = (master[0] or b"").decode() or asked.host
            node = asked._replace(host=host, port=int(master[1]))
            slots[first : last + 1] = [node] * (last + 1 - first)
        return slots


class ClusterRedis:
    """Connections to the masters of a cluster, one for each thread and master. As `connection.Redis`, safe to share and to fork."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.timeout = timeout
        self.topology = Topology(Address.parse_many(url), timeout)
        self._local = threading.local()

    def connection(self, slug: str) -> Connection:
        """This thread's connection to the tenant's master. Raises RedisUnavailableError."""
        return self.to(self.topology.where(slug))

    def to(self, node: Address) -> Connection:
        """This thread's connection to a master. Raises RedisUnavailableError."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.connections, self._local.pid = {}, os.getpid()
        connections: dict[Address, Connection] = self._local.connections
        found = connections.get(node)
        if found is None or not found.alive:
            found = connections[node] = Connection(node, self.timeout)
        return found

    def usable(self) -> ClusterControl:
        """Commands about any tenants, each to its master."""
        return ClusterControl(self)


class ClusterControl:
    """What a `Connection` is to one server: commands, each of which goes to the master that has its tenant."""

    def __init__(self, redis: ClusterRedis) -> None:
        self._redis = redis

    def generation_of(self, slug: str) -> bytes:
        """The present life of the server that has the tenant."""
        return self._usable(self._redis.topology.where(slug)).generation

    def command(self, *words: str | bytes | int) -> Any:
        """As Connection.command, for a command with a key."""
        return self.pipeline([words])[0]

    def script(self, script: Script, *keys_and_arguments: str | bytes | int) -> Any:
        """As Connection.script."""
        slug = _tag(keys_and_arguments[0])
        try:
            return self._usable(self._redis.topology.where(slug)).script(script, *keys_and_arguments)
        except RedisUnavailableError as error:
            if not self._redis.topology.learn(slug, error):
                raise
        return self._usable(self._redis.topology.where(slug)).script(script, *keys_and_arguments)

    def scripts(self, script: Script, calls: Sequence[Words]) -> list[Any]:
        """As Connection.scripts, in one round trip to each master that is concerned. A run that was sent to the wrong one is sent again.

        A master that is away leaves the others theirs: in place of the replies of its own stands the error.
        """
        replies: list[Any] = [None] * len(calls)
        places: dict[Address, list[int]] = defaultdict(list)
        for index, call in enumerate(calls):
            try:
                places[self._redis.topology.where(_tag(call[0]))].append(index)
            except RedisUnavailableError as error:
                replies[index] = error
        for node, indexes in places.items():
            try:
                answered = self._usable(node).scripts(script, [calls[index] for index in indexes])
            except RedisUnavailableError as error:
                self._redis.topology.refresh_soon()
                answered = [error] * len(indexes)
            for index, reply in zip(indexes, answered, strict=True):
                replies[index] = self._elsewhere(script, calls[index], reply)
        return replies

    def _elsewhere(self, script: Script, call: Words, reply: Any) -> Any:
        slug = _tag(call[0])
        if not isinstance(reply, RedisUnavailableError) or not self._redis.topology.learn(slug, reply):
            return reply
        try:
            return self._usable(self._redis.topology.where(slug)).scripts(script, [call])[0]
        except RedisUnavailableError as error:
            return error

    def pipeline(self, commands: Sequence[Words]) -> list[Any]:
        """As Connection.pipeline: one round trip to each master that is concerned. Replies come in the order of the commands."""
        replies: list[Any] = [None] * len(commands)
        places: dict[Address, list[int]] = defaultdict(list)
        for index, words in enumerate(commands):
            places[self._redis.topology.where(_tag_of(words))].append(index)
        for node, indexes in places.items():
            own = [commands[index] for index in indexes]
            try:
                answered = self._usable(node).pipeline(own)
            except RedisUnavailableError as error:
                if not self._redis.topology.learn(_tag_of(own[0]), error):
                    raise
                self._redis.topology.refresh()
                answered = [self._usable(self._redis.topology.where(_tag_of(words))).command(*words) for words in own]
            for index, reply in zip(indexes, answered, strict=True):
                replies[index] = reply
        return replies

    def each(self, *words: str | bytes | int) -> list[Any]:
        """The replies of every master to a command without a key; in place of that of one that is away stands the error."""
        replies: list[Any] = []
        for node in self._redis.topology.masters():
            try:
                replies.append(self._usable(node).command(*words))
            except RedisUnavailableError as error:
                self._redis.topology.refresh_soon()
                replies.append(error)
        return replies

    def away(self) -> list[str]:
        """What is wrong with each master that does not answer, and with slots that nobody serves: a sentence each."""
        failed = [str(reply) for reply in self.each("PING") if isinstance(reply, RedisUnavailableError)]
        lost = self._redis.topology.unserved()
        return [*failed, *([f"{lost:,} of {SLOTS:,} slots have no master"] if lost else [])]

    def groups(self, slugs: Iterable[str]) -> list[set[str]]:
        """The tenants by the master that has them: what fails for one group need not fail for the others."""
        found: dict[Address | None, set[str]] = defaultdict(set)
        for slug in slugs:
            try:
                found[self._redis.topology.where(slug)].add(slug)
            except RedisUnavailableError:
                found[None].add(slug)
        return list(found.values())

    def _usable(self, node: Address) -> Connection:
        """A connection that was just proved to work. Raises RedisUnavailableError; the map is then asked for anew: a node that is away, or
        is a replica now, may have a successor, and no command that would be told so ever reaches it."""
        try:
            connection = self._redis.to(node)
            try:
                connection.command("PING")
            except RedisUnavailableError:
                connection = self._redis.to(node)
        except RedisUnavailableError:
            self._redis.topology.refresh_soon()
            raise
        return connection


class Control(Protocol):
    """A server, or a cluster, for everything but decisions. Methods raise RedisUnavailableError."""

    def generation_of(self, slug: str) -> bytes: ...
    def command(self, *words: str | bytes | int) -> Any: ...
    def script(self, script: Script, *keys_and_arguments: str | bytes | int) -> Any: ...
    def scripts(self, script: Script, calls: Sequence[Words]) -> list[Any]: ...
    def pipeline(self, commands: Sequence[Words]) -> list[Any]: ...
    def each(self, *words: str | bytes | int) -> list[Any]: ...
    def away(self) -> list[str]: ...
    def groups(self, slugs: Iterable[str]) -> list[set[str]]: ...


def is_cluster(url: str) -> bool:
    """Does the URL name a cluster?"""
    return url.partition("://")[0] in SCHEMES


def redis_of(url: str, timeout: float) -> Redis | ClusterRedis:
    """The server or cluster that a URL names; `redis+cluster://[user:password@]host:port,host:port…` is a cluster by some of its nodes."""
    return (ClusterRedis if is_cluster(url) else Redis)(url, timeout)


def _tag_of(words: Words) -> str:
    return _tag(words[KEYED_BY.get(str(words[0]), 1)])


def _tag(key: str | bytes | int) -> str:
    text = key.decode() if isinstance(key, bytes) else str(key)
    return text[text.index("{") + 1 : text.index("}")]
