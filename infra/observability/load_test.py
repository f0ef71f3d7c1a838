"""Locust: the platform's users. Run by `make load`, or by hand against a running platform:

    PLATFORM_LOGINS=.data/platform/logins.json locust -f infra/observability/load_test.py --host http://127.0.0.1:8100 \\
        --headless --users 40 --spawn-rate 4 --run-time 5m --summary load.json

Distributed: the same with `--master` on one machine and `--worker --master-host …` on the others; what the workers' own handlers count
travels with their reports. Ends with status 1 when an objective is missed (--slo-p95-ms, --slo-error-rate, --slo-refused-rate).
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import load_slo
from locust import HttpUser, between, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner
from locust.stats import RequestStats, StatsEntry

WORDS = ("pulmonary nodule", "acute infarct", "gallstones", "mass", "meniscus", "pleural effusion", "aneurysm")
MEANINGS = (
    "stroke in the brain",
    "something in the lung",
    "kidney stones",
    "torn ligament of the knee",
    "breast cancer",
)
MODALITIES = ("CT", "MR", "US")
OVER_LIMIT = " (over limit)"
"""Ends the names of requests that are made to be refused: objectives are judged without them."""
seen: Counter[str] = Counter()
"""What this process saw: refusals of ordinary users, refusals of those over their limit, broken refusals, what should have been refused."""
workers_seen: set[str] = set()
"""Workers that have reported to this master."""


# ----------------------------------------------------------------------------------------------------------------- users


class APIUser(HttpUser):
    """The base of all: logs in by itself as somebody of its role, and knows a refusal from an error."""

    abstract = True
    wait_time = between(0.5, 2.0)
    role = "clinician"
    _turns: Counter[str] = Counter()

    def on_start(self) -> None:
        people = [row for row in _logins() if row["username"].startswith(self.role)]
        if not people:
            raise StopUser(f"nobody of role {self.role} in PLATFORM_LOGINS")
        person = people[APIUser._turns[self.role] % len(people)]
        APIUser._turns[self.role] += 1
        self.username = person["username"]
        self.login(person)
        self.studies = self.get("/studies?limit=200", "/studies").get("results", [])

    def login(self, person: dict[str, str]) -> None:
        """Take a token; every further request carries it."""
        given = {"username": person["username"], "password": person["password"]}
        with self.client.post("/login", json=given, catch_response=True) as answer:
            if answer.status_code != 200:
                status = f"status {answer.status_code}"
                why = status if answer.status_code else f"no answer from {self.host} ({answer.error})"
                answer.failure(f"login of {person['username']}: {why}")
                raise StopUser
            self.client.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def get(self, url: str, name: str, **options: Any) -> dict[str, Any]:
        return self.ask("GET", url, name, **options)

    def post(self, url: str, name: str, **options: Any) -> dict[str, Any]:
        return self.ask("POST", url, name, **options)

    def ask(self, method: str, url: str, name: str, **options: Any) -> dict[str, Any]:
        """The answer's JSON, {} for pictures and refusals. A refusal that keeps the contract is no failure."""
        asked = time.monotonic()
        with self.client.request(method, url, name=name, catch_response=True, **options) as answer:
            if answer.status_code == 429:
                self.refused(answer)
            elif answer.ok and (wrong := self.granted(answer, asked)):
                answer.failure(wrong)
            elif answer.ok:
                answer.success()
                if "json" in answer.headers.get("Content-Type", ""):
                    return dict(answer.json())
            else:
                answer.failure(f"{answer.status_code}: {answer.text[:200]}")
        return {}

    def granted(self, answer: Any, asked: float) -> str:
        """What is wrong with an answer that was let through, for those who look; "" when nothing is."""
        return ""

    def refused(self, answer: Any) -> None:
        seen["refused"] += 1
        check_refusal(answer, self.environment.parsed_options.dearest_call)

    def any_study(self) -> str:
        return str(random.choice(self.studies)["id"]) if self.studies else "0" * 12


class ClinicianUser(APIUser):
    """Looks at studies of the day and now and then for an old report."""

    weight = 50

    @task(5)
    def browse(self) -> None:
        self.get(f"/studies?modality={random.choice(MODALITIES)}", "/studies")

    @task(6)
    def look(self) -> None:
        self.get(f"/studies/{self.any_study()}/slices/0.png", "/studies/{id}/slices/{n}.png")

    @task(3)
    def keyword(self) -> None:
        self.get("/search", "/search keyword", params={"q": random.choice(WORDS), "kind": "keyword"})

    @task(2)
    def ask_the_model(self) -> None:
        self.post("/ml/infer", "/ml/infer", json={"study": self.any_study()})


class ResearcherUser(APIUser):
    """Searches by meaning and by filters, and has whole studies looked through in the background."""

    weight = 30
    role = "researcher"

    @task(5)
    def semantic(self) -> None:
        self.get("/search", "/search semantic", params={"q": random.choice(MEANINGS), "kind": "semantic", "limit": 25})

    @task(4)
    def filtered(self) -> None:
        asked = {"q": random.choice(WORDS), "kind": "filtered", "modality": random.choice(MODALITIES), "since": 2018}
        self.get("/search", "/search filtered", params=asked)

    @task(3)
    def infer(self) -> None:
        self.post("/ml/infer", "/ml/infer", json={"study": self.any_study()})

    @task(1)
    def batch(self) -> None:
        job = self.post("/ml/jobs", "/ml/jobs", json={"studies": [self.any_study()]})
        if job:
            self.get(f"/jobs/ml/{job['id']}", "/jobs/{service}/{id}")


class AdminUser(APIUser):
    """Watches the services and has indexes and thumbnails made."""

    weight = 10
    role = "admin"
    wait_time = between(1.0, 4.0)

    @task(6)
    def services(self) -> None:
        self.get("/services", "/services")

    @task(3)
    def whoami(self) -> None:
        self.get("/me", "/me")

    @task(2)
    def thumbnails(self) -> None:
        self.post(f"/studies/{self.any_study()}/thumbnails", "/studies/{id}/thumbnails")

    @task(1)
    def reindex(self) -> None:
        self.post("/indexes/reports/jobs?documents=300", "/indexes/{name}/jobs")


class RadiologyWorkflowUser(APIUser):
    """One whole reading: worklist, study, its slices, the model's opinion, earlier reports, thumbnails for the archive."""

    weight = 20
    role = "radiologist"
    wait_time = between(1.0, 3.0)

    @task
    def read_a_study(self) -> None:
        worklist = self.get("/studies?limit=20", "/studies").get("results")
        if not worklist:
            return
        study = random.choice(worklist)
        detail = self.get(f"/studies/{study['id']}", "/studies/{id}")
        for number in range(min(3, int(detail.get("slices", 1)))):
            self.get(f"/studies/{study['id']}/slices/{number}.png", "/studies/{id}/slices/{n}.png")
        self.get(f"/studies/{study['id']}/slices/0.png?center=40&width=400", "/studies/{id}/slices/{n}.png")
        opinion = self.post("/ml/infer", "/ml/infer", json={"study": study["id"]})
        words = f"{opinion.get('label', 'CT')} {study.get('body_part') or 'chest'}"
        self.get("/search", "/search semantic", params={"q": words, "kind": "semantic"})
        job = self.post(f"/studies/{study['id']}/thumbnails", "/studies/{id}/thumbnails")
        if job:
            self.get(f"/jobs/imaging/{job['id']}", "/jobs/{service}/{id}")


class OverLimitUser(APIUser):
    """Of a tenant with a small tier: calls on without pause, and holds every refusal to the contract and every grant to the limit. One of
    it, beside the others' shares."""

    fixed_count = 1
    role = "visitor"
    wait_time = between(0.05, 0.2)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.allowance = load_slo.Allowance()

    @task
    def hammer(self) -> None:
        self.get("/me", f"/me{OVER_LIMIT}")

    def granted(self, answer: Any, asked: float) -> str:
        wrong = self.allowance.granted(asked, time.monotonic(), answer.headers)
        seen["let through"] += bool(wrong)
        return wrong

    def refused(self, answer: Any) -> None:
        seen["refused on purpose"] += 1
        check_refusal(answer)


def check_refusal(answer: Any, cost: int = 1) -> None:
    """Success for a refusal as promised of a call that costs at most `cost`, failure for any other."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    broken = load_slo.contract_violations(answer.status_code, answer.headers, body, cost)
    if broken:
        seen["broken refusals"] += 1
        answer.failure(f"429 against the contract: {'; '.join(broken)}")
    else:
        answer.success()


def _logins() -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(Path(os.environ["PLATFORM_LOGINS"]).read_text(encoding="utf-8"))
    return rows


# ---------------------------------------------------------------------------------------------------------------- events


@events.init.add_listener
def _can_begin(environment: Environment, **_: Any) -> None:
    """One sentence before anything starts, instead of a traceback from every user."""
    try:
        found = _logins()
    except (KeyError, OSError, ValueError):
        found = []
    if not found:
        print(
            "load_test: set PLATFORM_LOGINS to the file of people who may log in, such as .data/platform/logins.json"
            f" (now {os.environ.get('PLATFORM_LOGINS', '')!r}, which gives none).",
            file=sys.stderr,
        )
        sys.exit(2)


@events.init_command_line_parser.add_listener
def _arguments(parser: Any) -> None:
    parser.add_argument("--slo-p95-ms", type=float, default=load_slo.TARGETS["p95_ms"], help="objective of latency")
    parser.add_argument(
        "--slo-error-rate", type=float, default=load_slo.TARGETS["error_rate"], help="objective of errors"
    )
    parser.add_argument(
        "--slo-refused-rate",
        type=float,
        default=load_slo.TARGETS["refused_rate"],
        help="objective of refusals within the limits",
    )
    parser.add_argument(
        "--dearest-call",
        type=int,
        default=1,
        help="the largest weight of a route class: so many calls may be left to who is refused",
    )
    parser.add_argument("--summary", default="", help="write the summary as JSON to this file")


@events.test_start.add_listener
def _begin(environment: Environment, **_: Any) -> None:
    """Count anew; each worker of a distributed run begins with other accounts."""
    seen.clear()
    APIUser._turns.clear()
    if isinstance(environment.runner, WorkerRunner):  # its number is known only now, not when it was made
        APIUser._turns.update(dict.fromkeys(("clinician", "researcher", "admin", "radiologist"), environment.runner.worker_index * 7))  # fmt: skip


@events.report_to_master.add_listener
def _report(data: dict[str, Any], **_: Any) -> None:
    data["seen"] = dict(seen)
    seen.clear()


@events.worker_report.add_listener
def _reported(client_id: str, data: dict[str, Any], **_: Any) -> None:
    workers_seen.add(client_id)
    seen.update(data.get("seen", {}))


@events.quitting.add_listener
def _judge(environment: Environment, **_: Any) -> None:
    """The summary, and the exit status that says whether the objectives hold."""
    if isinstance(environment.runner, WorkerRunner):
        return
    options: Any = environment.parsed_options
    within = _within_limits(environment.stats)
    targets = {
        "p95_ms": options.slo_p95_ms,
        "error_rate": options.slo_error_rate,
        "refused_rate": options.slo_refused_rate,
    }
    p95 = float(within.get_response_time_percentile(0.95) or 0)
    errors = environment.stats.total.num_failures
    found = load_slo.verdicts(
        p95, within.num_requests, errors, seen["refused"], seen["broken refusals"], seen["let through"], targets
    )
    print("\nObjectives by Locust:")
    for each in found:
        print(
            f"  {'met   ' if each.met else 'MISSED'} {each.name}: {each.actual:g} (below {each.target:g} {each.unit})"
        )
    if options.summary:
        Path(options.summary).write_text(json.dumps(_summary(environment, found), indent=1), encoding="utf-8")
    environment.process_exit_code = 0 if load_slo.all_met(found) else 1


def _summary(environment: Environment, found: list[load_slo.Verdict]) -> dict[str, Any]:
    total = environment.stats.total
    rows = [_row(entry) for _, entry in sorted(environment.stats.entries.items())]
    workers = len(workers_seen) if isinstance(environment.runner, MasterRunner) else 0
    return {
        "tool": "locust",
        "workers": workers,
        "requests": total.num_requests,
        "errors": total.num_failures,
        "refused": seen["refused"],
        "refused_on_purpose": seen["refused on purpose"],
        "broken_refusals": seen["broken refusals"],
        "let_through": seen["let through"],
        "requests_per_second": round(total.total_rps, 2),
        "within_limits": _row(_within_limits(environment.stats)),
        "routes": rows,
        "failures": [
            f"{error.name}: {error.error} ({error.occurrences})" for error in environment.stats.errors.values()
        ],
        "slo": [each.shown() for each in found],
        "slo_met": load_slo.all_met(found),
    }


def _within_limits(stats: RequestStats) -> StatsEntry:
    """All requests but those that are made to be refused, which are many and fast: among the others they would better every percentile."""
    within = StatsEntry(RequestStats(), "within the limits", "")
    for entry in stats.entries.values():
        if not entry.name.endswith(OVER_LIMIT):
            within.extend(entry)
    return within


def _row(entry: Any) -> dict[str, Any]:
    percentiles = {f"p{round(q * 100)}": entry.get_response_time_percentile(q) for q in (0.5, 0.95, 0.99)}
    return {"name": entry.name, "requests": entry.num_requests, "errors": entry.num_failures, **percentiles}
