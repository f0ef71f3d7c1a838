"""The deciding script alone: its throughput beside INCR, its round trips, and what a user costs in memory."""

from __future__ import annotations

import random
import statistics
import time

from bench import stage
from bench.loads import benchmark_program, redis_benchmark
from bench.report import Report
from tenants.enforcement.config import Config
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.protocol import keys
from tenants.enforcement.protocol.scripts import DECIDE
from tenants.enforcement.redis.connection import Connection

NAME = "enforcement: the deciding script"
GOALS = {"script_per_incr": (">=", 0.45), "round_trips": ("==", 1.0), "bytes_of_a_light_user": ("<=", 300.0)}


def run(report: Report) -> None:
    with stage.private_redis() as url:
        report.step("round trips")
        report.value("round_trips", round_trips(url))
        report.step("memory of users")
        for kind, calls in (
            ("light: 20 calls a day", 20),
            ("medium: 300 a day", 300),
            ("at the limit: 60 a minute", 10_000),
        ):
            report.row(f"bytes, {kind}", value=bytes_per_user(url, calls))
        report.value("bytes_of_a_light_user", report.rows[0]["value"])
        if benchmark_program():
            throughput(report, url)
        else:
            report.note("redis-benchmark is not installed (Debian: redis-tools): script_per_incr was not measured")


def throughput(report: Report, url: str) -> None:
    """Ten thousand users of one tenant, fifty clients, as redis-benchmark drives INCR; alternating rounds."""
    connection = stage.connect(url)
    connection.command("FLUSHALL")
    text = key_without_nul()
    stage.put_tenant(connection, "acme", 1, [text], stage.LARGE)
    words = script_words(text, connection)
    path = stage.socket_path(url)
    found: dict[str, list[float]] = {"INCR": [], "decide": []}
    for number in range(report.rounds(9)):
        report.step(f"throughput, round {number + 1}")
        found["INCR"].append(redis_benchmark(path, ["INCR", "counter:__rand_int__"], clients=50, requests=60_000))
        found["decide"].append(redis_benchmark(path, words, clients=50, requests=60_000))
    for name, samples in found.items():
        report.row(f"{name}, 50 clients, per second", value=statistics.median(samples))
    ratios = [decide / incr for decide, incr in zip(found["decide"], found["INCR"], strict=True)]
    report.value("script_per_incr", statistics.median(ratios))


def script_words(text: bytes, connection: Connection) -> list[str | bytes]:
    """The command that decides a call of ten thousand users of the tenant acme, with a deadline in the far future."""
    credential = keys.parse(text, stage.PEPPER.encode())
    assert credential
    where = (keys.tenant_key("acme"), "u:{acme}:__rand_int__", keys.usage_key("acme"))
    call = (keys.key_field(credential.digest), str(65_536 + 1), f"{credential.key_id}|default")
    return ["EVALSHA", DECIDE.sha, "3", *where, *call, keys.generation_field(connection.generation), "9" * 13]


def key_without_nul() -> bytes:
    """A key whose digest can be an argument of a program."""
    while True:
        text = stage.new_key("acme")
        credential = keys.parse(text, stage.PEPPER.encode())
        if credential and b"\0" not in credential.digest:
            return text


def round_trips(url: str) -> float:
    """Socket reads that Redis counts for a hundred decisions."""
    [text] = stage.put_users(url, 1, 1, stage.LARGE)
    enforcer = Enforcer(Config(url, stage.PEPPER.encode(), timeout=5.0), ProcessCounts(), stage.NoBuilder(), "bench")
    enforcer.consume(text)
    look = stage.connect(url)
    before = _reads(look)
    for _ in range(100):
        assert enforcer.consume(text).allowed
    return (_reads(look) - before - 1) / 100


def _reads(connection: Connection) -> int:
    return int(connection.command("INFO", "stats").decode().split("total_reads_processed:")[1].split()[0])


def bytes_per_user(url: str, calls: int, users: int = 300) -> float:
    """Redis memory of a user's key after a day with that many calls, as MEMORY USAGE says; the clock of the script is set by us."""
    from tests.tenants.enforcement.stage import CLOCKED, Script

    connection = stage.connect(url)
    connection.command("FLUSHALL")
    users = users if calls < 1_000 else 20
    texts = [stage.new_key("acme") for _ in range(users)]
    stage.put_tenant(connection, "acme", 1, texts, stage.STANDARD)
    script = Script.of("decide at", 3, CLOCKED.encode() + DECIDE.source)
    generation = keys.generation_field(connection.generation)
    start = int(time.time() * 1000)
    generator = random.Random(1)
    for text in texts:
        credential = keys.parse(text, stage.PEPPER.encode())
        assert credential
        where = (keys.tenant_key("acme"), keys.user_key("acme", credential.subject), keys.usage_key("acme"))
        field = keys.key_field(credential.digest)
        connection.command("SCRIPT", "LOAD", script.source)
        day = [
            script.evalsha(*where, field, 65_536, "", generation, at + 1, at) for at in _day(calls, start, generator)
        ]
        for first in range(0, len(day), 500):
            connection.pipeline(day[first : first + 500])
    everybody = connection.command("KEYS", "u:*")
    return float(sum(connection.pipeline([("MEMORY", "USAGE", key) for key in everybody]))) / len(everybody)


def _day(calls: int, start: int, generator: random.Random) -> list[int]:
    if calls >= 10_000:  # steadily, and a full last minute
        return [start + n * 5_040 for n in range(calls - 60)] + [start + 50_200_000 + n * 900 for n in range(60)]
    if calls > 20:  # in bursts of ten
        return sorted(
            begin + n * 300
            for begin in (start + generator.randrange(86_000_000) for _ in range(calls // 10))
            for n in range(10)
        )
    return sorted(start + generator.randrange(86_000_000) for _ in range(calls))
