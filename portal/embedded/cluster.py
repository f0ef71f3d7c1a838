"""A private Redis Cluster: masters with one replica each, on loopback, nothing kept on disk. For fault tests and benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from portal.embedded.process import EmbeddedError, free_port
from portal.embedded.redis import RedisServer
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.redis.address import Address
from tenants.enforcement.redis.cluster import SLOTS, slot_of
from tenants.enforcement.redis.connection import ask_once

NODE_TIMEOUT_MS = 1_500
"""For so long a master is silent before the others call it dead; its shard serves nobody until a replica has taken over."""

FORMED_SECONDS = 60
BUS_OFFSET = 10_000


class ClusterNode(RedisServer):
    """One node of a cluster."""

    name = "Redis Cluster node"

    @property
    def more_settings(self) -> tuple[str, ...]:  # type: ignore[override]
        return (
            "cluster-enabled yes",
            f'cluster-config-file "{self.directory / "nodes.conf"}"',
            f"cluster-node-timeout {NODE_TIMEOUT_MS}",
            "cluster-require-full-coverage no",  # a shard that is away does not stop the others
            f"masterauth {self.password}",
            "repl-diskless-sync-delay 0",
        )

    def ask(self, *words: str | bytes | int) -> Any:
        """Any command's reply. Raises RedisUnavailableError."""
        return ask_once(Address.parse(self.url), 5.0, words)


class RedisCluster:
    """`masters` masters and as many replicas under `directory`; a context manager."""

    def __init__(self, directory: Path, masters: int = 3) -> None:
        self._count = masters
        self._directory = directory
        self._stack = ExitStack()
        self.nodes: list[ClusterNode] = []

    @property
    def url(self) -> str:
        """By all nodes that are alive."""
        alive = [node for node in self.nodes if node.alive()]
        return f"redis+cluster://:{alive[0].password}@" + ",".join(f"127.0.0.1:{node.port}" for node in alive)

    def __enter__(self) -> Self:
        password = "cluster-on-loopback"  # noqa: S105 - one password for nodes that only this machine reaches
        for number in range(2 * self._count):
            folder = self._directory / str(number)
            folder.mkdir(parents=True)
            node = ClusterNode(folder, durable=False, port=free_port(), password=password)
            self.nodes.append(self._stack.enter_context(node))
        try:
            self._form()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def master_of(self, slug: str) -> ClusterNode:
        """The master that serves the tenant now, by what the nodes that live say."""
        slot = slot_of(slug)
        for node in self.nodes:
            if not node.alive():
                continue
            for first, last, master, *_ in node.ask("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return next(each for each in self.nodes if each.port == master[1])
        raise EmbeddedError("No node serves this slot: wait for the failover, or start the cluster again.")

    def move(self, slug: str, target: ClusterNode) -> None:
        """Give the tenant's slot to another master while it is in use, key by key, as redis-cli --cluster reshard does."""
        source, slot = self.master_of(slug), slot_of(slug)
        source_id, target_id = (node.ask("CLUSTER", "MYID").decode() for node in (source, target))
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "AUTH", target.password, "KEYS", *keys)
        for node in (target, source, *(each for each in self.nodes if each not in (source, target))):
            if node.alive() and b"role:master" in node.ask("INFO", "replication"):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def _form(self) -> None:
        masters, replicas = self.nodes[: self._count], self.nodes[self._count :]
        for number, master in enumerate(masters):
            first, after = (SLOTS * each // self._count for each in (number, number + 1))
            master.ask("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            master.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.port + BUS_OFFSET)
        self.wait(lambda: all(_says(node, f"cluster_known_nodes:{len(self.nodes)}") for node in self.nodes))
        for master, replica in zip(masters, replicas, strict=True):
            identity = master.ask("CLUSTER", "MYID")
            self.wait(lambda identity=identity, replica=replica: _accepts(replica, identity))  # type: ignore[misc]
        self.wait(lambda: all(b"master_link_status:up" in node.ask("INFO", "replication") for node in replicas))
        self.wait(lambda: all(_says(node, "cluster_state:ok") for node in self.nodes))
        self.wait(lambda: all(len(slot) > 3 for node in self.nodes for slot in node.ask("CLUSTER", "SLOTS")))

    @staticmethod
    def wait(true: Callable[[], bool]) -> None:
        """Until it is so. Raises EmbeddedError after a minute."""
        deadline = time.monotonic() + FORMED_SECONDS
        while not true():
            if time.monotonic() > deadline:
                raise EmbeddedError("The Redis Cluster did not form within a minute: see the nodes' logs.")
            time.sleep(0.05)


def _says(node: ClusterNode, fact: str) -> bool:
    return f"{fact}\r\n".encode() in node.ask("CLUSTER", "INFO")


def _accepts(replica: ClusterNode, master: bytes) -> bool:
    try:
        replica.ask("CLUSTER", "REPLICATE", master)
    except RedisUnavailableError:
        return False  # it has not heard of its master yet
    return True
