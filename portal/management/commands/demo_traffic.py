"""`manage.py demo_traffic`: live calls of the demo's tenants through the real decision endpoint, and usage events through the API."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.utils import timezone

from portal.demo import gpus
from portal.demo.cast import TENANTS, DemoTenant
from portal.demo.folder import DemoFolder

CALLS_A_SECOND = {"acme": 0.8, "globex": 3.0, "initech": 0.35}
BURST_EVERY = timedelta(minutes=4)
BURST = 75
"""More than the standard tier's 60 a minute: the burst's last calls are refused."""
INTERVAL = 20
ROUTES = (("imaging", 5), ("search", 3), ("ml", 2), ("default", 1))


class Command(BaseCommand):
    """Runs until it is told to stop (SIGTERM, Ctrl-C)."""

    help = "Drive the demo with live traffic (needs a running demo)."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.site, self.decide = os.environ["DEMO_URL"], os.environ["DEMO_DECISION_URL"]
            credentials = json.loads(DemoFolder().credentials.read_text())
        except (KeyError, OSError) as error:
            raise CommandError(f"The demo does not run here ({error}). Start it with `make demo`.") from error
        self.stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        self.seen: Counter[str] = Counter()
        keys = {tenant["slug"]: tenant for tenant in credentials["tenants"]}
        work = [threading.Thread(target=self._forever, args=(self._events, plan, keys[plan.slug])) for plan in TENANTS]
        work += [threading.Thread(target=self._forever, args=(self._calls, plan, keys[plan.slug])) for plan in TENANTS]
        reserving = [plan for plan in TENANTS if gpus.reserved(plan.slug)]
        work += [threading.Thread(target=self._forever, args=(self._job, plan, keys[plan.slug])) for plan in reserving]
        work.append(threading.Thread(target=self._gpus))
        for thread in work:
            thread.start()
        while not self.stop.wait(30):
            self.stdout.write(" ".join(f"{name}={count}" for name, count in sorted(self.seen.items())))
            self.stdout.flush()
        for thread in work:
            thread.join(timeout=5)

    def _gpus(self) -> None:
        """The demo's nodes have no GPUs: what their collectors would see is written down once a minute."""
        last = timezone.now()
        while not self.stop.wait(60):
            now = timezone.now()
            try:
                gpus.tick(now, min(now - last, timedelta(minutes=3)))
                last = now
            except DatabaseError:
                self.seen["gpus away"] += 1
            finally:
                connection.close()

    def _job(self, client: httpx.Client, plan: DemoTenant, known: dict[str, Any], chance: Random) -> None:
        """One job after the other on reserved GPUs: reserved before it starts, alive while it runs, settled when it ends."""
        client.headers["Authorization"] = f"Bearer {known['api_key']}"
        models = gpus.reserved(plan.slug)
        url = f"{self.site}/api/v1/reservations"
        while not self.stop.is_set():
            held = (
                client.get(url, params={"state": "held"}).json().get("results", [])
            )  # of traffic that ended in the middle
            if not held:
                job = {"project": chance.choice(plan.projects), "user": plan.people[0][0]}
                asked = {"gpus": len(models), "gpu_model": models[0], "expected_hours": "0.75", "labels": job}
                answer = client.post(url, json=asked)
                self.seen[f"{plan.slug}:jobs:{answer.status_code}"] += 1
                held = [answer.json()] if answer.status_code == 201 else []
            minutes = chance.randint(20, 45) if held else 0
            while minutes and not self.stop.wait(60):
                minutes -= 1
                if client.post(f"{url}/{held[0]['id']}/heartbeat").status_code == 409:
                    break  # somebody has released it
            if held and not self.stop.is_set():
                client.post(f"{url}/{held[0]['id']}/settle", json={})
            self.stop.wait(30)

    def _forever(self, work: Any, plan: DemoTenant, known: dict[str, Any]) -> None:
        """Keep going through restarts of what is called: traffic does not die of an outage."""
        chance = Random(f"{plan.slug} {time.time()}")  # noqa: S311
        with httpx.Client(timeout=5, trust_env=False) as client:
            while not self.stop.is_set():
                try:
                    work(client, plan, known, chance)
                except httpx.HTTPError as error:
                    self.seen[type(error).__name__] += 1
                    self.stop.wait(1)

    def _calls(self, client: httpx.Client, plan: DemoTenant, known: dict[str, Any], chance: Random) -> None:
        names, weights = [name for name, _ in ROUTES], [weight for _, weight in ROUTES]
        people = [user["username"] for user in known["users"] if user["role"] != "viewer"]
        next_burst = time.monotonic() + chance.uniform(20, 60)
        while not self.stop.wait(chance.expovariate(CALLS_A_SECOND[plan.slug])):
            key = known["keys"]["gateway" if chance.random() < 0.6 else "inference"]
            self._call(client, plan, key, chance.choices(names, weights)[0])
            if time.monotonic() >= next_burst:
                next_burst = time.monotonic() + BURST_EVERY.total_seconds() * chance.uniform(0.7, 1.3)
                person = known["keys"][chance.choice(people)]
                for _ in range(BURST):
                    if self.stop.wait(0.03):
                        return
                    self._call(client, plan, person, "search")

    def _call(self, client: httpx.Client, plan: DemoTenant, key: str, route_class: str) -> None:
        answer = client.get(self.decide, headers={"Authorization": f"Bearer {key}", "X-Route-Class": route_class})
        self.seen[f"{plan.slug}:{answer.status_code}"] += 1

    def _events(self, client: httpx.Client, plan: DemoTenant, known: dict[str, Any], chance: Random) -> None:
        """What GPU nodes would report: devices held since the last interval, the ones that the fleet's page shows."""
        while not self.stop.is_set():
            edge = int(time.time()) // INTERVAL * INTERVAL
            said = {"project": chance.choice(plan.projects), "user": plan.people[0][0]}
            events = [
                {
                    "specversion": "1.0",
                    "id": f"{node}-{index}-{edge}",
                    "source": "demo/live",
                    "type": "gpu_seconds",
                    "time": datetime.fromtimestamp(edge, UTC).isoformat(),
                    "data": {"quantity": f"{part * INTERVAL:g}", "model": model, "node": node} | said,
                }
                for node, model, index, part in gpus.holdings(plan.slug)
            ]
            answer = client.post(
                f"{self.site}/api/v1/events",
                json=events,
                headers={"Authorization": f"Bearer {known['keys']['inference']}"},
            )
            self.seen[f"{plan.slug}:events:{answer.status_code}"] += 1
            self.stop.wait(edge + INTERVAL + 1 - time.time())
