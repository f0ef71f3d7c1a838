"""The deployed rules about search, inference, queues and workers, loaded by a real Prometheus that scrapes the real services by their token.

Only times are shortened: what is averaged over minutes is averaged over seconds, and nothing is waited for before it fires. A metric or a
label that changes its name keeps a rule from firing, and so breaks this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aurelius_platform.config import from_environment
from aurelius_platform.queueing import celery_app
from infra.observability.as_code.known import ROOT
from tests.observability import servers
from tests.platform.running import PATIENCE, Running, platform, status

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(servers.missing("prometheus")), reason=servers.missing("prometheus")),
]
RULES = {"SearchLatencyHigh", "InferenceLatencyHigh", "QueueDepthHigh", "NoActiveWorkers", "TaskFailureRateHigh"}
PAGES = ("gateway", "imaging", "search", "ml", "worker", "queues")
TOKEN = "tests-only-metrics-token"


@pytest.fixture(scope="module")
def running(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with platform(built, tmp_path_factory.mktemp("alerts"), PLATFORM_METRICS_TOKEN=TOKEN) as found:
        yield found


@pytest.fixture(scope="module")
def prometheus(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "rules.json").write_text(
        json.dumps({"groups": [{"name": "deployed", "interval": "1s", "rules": rules()}]})
    )
    config = {
        "global": {"scrape_interval": "1s", "external_labels": {"site": "https://portal.example"}},
        "rule_files": [f"{folder}/rules.json"],
        "scrape_configs": [
            {
                "job_name": name,
                "authorization": {"credentials": TOKEN},
                "static_configs": [{"targets": [f"127.0.0.1:{running.ports[name]}"]}],
            }
            for name in PAGES
        ],
    }
    with servers.prometheus(folder / "server", json.dumps(config)) as url:
        yield url


def rules() -> list[dict[str, Any]]:
    """The five as they are deployed, faster."""
    files = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "infra/observability/alerts").glob("*.yml"))]
    found = [
        rule for file in files for group in file["groups"] for rule in group["rules"] if rule.get("alert") in RULES
    ]
    assert {rule["alert"] for rule in found} == RULES
    return [{**rule, "expr": re.sub(r"\[\d+m\]", "[10s]", rule["expr"]), "for": "0s"} for rule in found]


def firing(url: str) -> set[str]:
    return {row["metric"]["alertname"] for row in servers.ask(url, 'ALERTS{alertstate="firing"}')} & RULES


def until_firing(url: str, name: str, work: Any = lambda: None) -> None:
    """Goes on working until the alert fires."""

    def seen() -> bool:
        work()
        return name in firing(url)

    servers.until(seen, PATIENCE, message=f"{name} does not fire: {firing(url)}")


def test_each_fires_when_it_should_and_none_before_and_no_page_is_open(running: Running, prometheus: str) -> None:
    for name in PAGES:
        with pytest.raises(OSError, match="401"):
            status(f"{running.url(name)}/metrics")
    token = running.log_in("admin-1")
    study = running.ask("GET", "/studies?modality=US", token)[2]["results"][0]["id"]
    up = f'count(up{{job=~"{"|".join(PAGES)}"}} == 1)'

    def search() -> None:
        assert running.ask("GET", "/search?q=nodule", token)[0] == 200

    def infer() -> None:
        assert running.ask("POST", "/ml/infer", token, {"study": study})[0] == 200

    def batch(*studies: str) -> None:
        assert running.ask("POST", "/ml/jobs", token, {"studies": list(studies)})[0] == 202

    def healthy() -> bool:
        search()
        infer()
        batch(study)
        counted = (
            "portal_search_duration_seconds_count",
            "portal_inference_duration_seconds_count",
            "celery_task_succeeded_total",
        )
        return all(servers.ask(prometheus, f"sum(rate({name}[10s])) > 0") for name in counted)

    servers.until(
        lambda: servers.ask(prometheus, f"{up} == {len(PAGES)}"), PATIENCE, message="not every page is scraped"
    )
    servers.until(healthy, PATIENCE, message="work is not counted")
    servers.until(lambda: firing(prometheus) == set(), PATIENCE, message=f"fires in good times: {firing(prometheus)}")

    until_firing(prometheus, "TaskFailureRateHigh", running.lost_cause)

    for service in ("search", "ml"):
        running.stop(service)
        running.service(service, PLATFORM_SLOW_MS="3000")
        running.ready(service)
    until_firing(prometheus, "SearchLatencyHigh", search)
    until_firing(prometheus, "InferenceLatencyHigh", infer)

    assert "NoActiveWorkers" not in firing(prometheus)
    running.stop("worker")
    until_firing(prometheus, "NoActiveWorkers")

    assert "QueueDepthHigh" not in firing(prometheus)
    queue = celery_app(from_environment("ml", running.environment))
    with queue.producer_pool.acquire(block=True) as producer:
        for _ in range(1_001):
            queue.send_task("platform.infer", ["nothing"], producer=producer)
    until_firing(prometheus, "QueueDepthHigh")
