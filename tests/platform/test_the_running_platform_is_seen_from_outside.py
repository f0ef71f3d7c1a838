"""Real processes: one trace from gateway to worker, found by query; the dashboards' panels filled in a real Prometheus; load tests that judge
by the contract and by thresholds which a slow service really misses. One platform for the module."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.observability import load_slo, run_load
from infra.observability.as_code import gpu_costs, jobs, promql
from infra.observability.as_code.known import ROOT
from tests.observability import servers
from tests.platform.conftest import PASSWORD
from tests.platform.running import PATIENCE, Running, SeenSpan, platform, until

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
LOAD = ROOT / "infra" / "observability"


@pytest.fixture(scope="module")
def running(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with platform(built, tmp_path_factory.mktemp("running")) as found:
        yield found


@pytest.fixture(scope="module")
def worked(running: Running) -> tuple[str, dict[str, str]]:
    """(token, jobs by service): an admin has asked for every kind of work, and it is done."""
    token = running.log_in("admin-1")
    study = running.ask("GET", "/studies?modality=US", token)[2]["results"][0]["id"]
    for kind in ("keyword", "filtered", "semantic"):
        assert running.ask("GET", f"/search?q=nodule&kind={kind}", token)[0] == 200
    assert running.ask("POST", "/ml/infer", token, {"study": study})[0] == 200
    asked = {
        "ml": running.ask("POST", "/ml/jobs", token, {"studies": [study]}),
        "imaging": running.ask("POST", f"/studies/{study}/thumbnails", token),
        "search": running.ask("POST", "/indexes/reports/jobs?documents=60", token),
    }
    found = {service: answer[2]["id"] for service, answer in asked.items()}
    for service, id in found.items():
        assert running.job(service, id, token)["state"] == "done"
    running.lost_cause()  # for the panel of failures
    return token, found


def test_one_trace_goes_from_the_gateway_through_ml_to_the_worker(
    running: Running, worked: tuple[str, dict[str, str]]
) -> None:
    token = worked[0]
    study = running.ask("GET", "/studies?modality=US", token)[2]["results"][0]["id"]
    more = iter(range(100))

    def found() -> list[SeenSpan] | None:
        """A trace that the worker's tenant tag leads to, once all of its spans have come. The collector keeps a tenth of what is neither slow
        nor wrong: so there is more to keep, each time."""
        if next(more, None) is not None:
            running.ask("POST", "/ml/jobs", token, {"studies": [study]})
        traces = running.traces.find("platform-worker", portal_tenant="riverside")
        return next(
            (trace for trace in traces if any(span.name == "ml.batch" for span in trace) and _whole(trace)), None
        )

    trace = until(found, "there is no such trace")
    by_id = {span.id: span for span in trace}
    batch = next(span for span in trace if span.name == "ml.batch")
    way = [batch]
    while way[-1].parent in by_id:
        way.append(by_id[way[-1].parent])
    services = [span.service.removeprefix("platform-") for span in reversed(way)]
    assert list(dict.fromkeys(services)) == ["gateway", "ml", "worker"]
    assert way[-1].parent == ""
    assert {span.tags.get("peer.service") for span in trace} >= {"platform-ml"}


def _whole(trace: list[SeenSpan]) -> bool:
    """Every span's parent has come, too."""
    return {span.parent for span in trace} <= {span.id for span in trace} | {""}


@pytest.mark.skipif(bool(servers.missing("prometheus")), reason=servers.missing("prometheus"))
def test_the_panels_of_search_ml_queues_and_indexing_are_filled(running: Running, worked: tuple[str, dict[str, str]], tmp_path: Path) -> None:  # fmt: skip
    targets = [f"127.0.0.1:{running.ports[name]}" for name in ("imaging", "search", "ml", "worker", "queues")]
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "services", "static_configs": [{"targets": targets}]}],
    }
    wanted = {
        f"{panel.id}{query.ref} {panel.title}": query.expr for panel in jobs.DASHBOARD.panels for query in panel.queries
    }
    batch = next(panel for panel in gpu_costs.DASHBOARD.panels if "batch" in panel.title.lower())
    wanted |= {"inference batch size": batch.queries[0].expr}
    wanted |= {"search p95": _alert("SearchLatencyHigh"), "ml p95": _alert("InferenceLatencyHigh")}
    empty = {name: promql.filled(expr).replace("[5m]", "[10s]") for name, expr in wanted.items()}
    token = worked[0]
    study = running.ask("GET", "/studies?modality=CT", token)[2]["results"][0]["id"]
    with servers.prometheus(tmp_path / "prometheus", json.dumps(config)) as url:

        def filled() -> bool:
            running.ask("GET", "/search?q=nodule", token)
            running.ask("POST", "/ml/infer", token, {"study": study})
            running.ask("POST", f"/studies/{study}/thumbnails", token)
            running.ask("POST", "/ml/jobs", token, {"studies": [study]})
            running.lost_cause()
            for name in [name for name, expr in empty.items() if servers.ask(url, expr)]:
                del empty[name]
            return not empty

        servers.until(filled, PATIENCE, message=f"empty: {sorted(empty)}")

        def indexed() -> (
            bool
        ):  # asked again: a load test that used this platform before may have left a longer job behind
            id = running.ask("POST", "/indexes/reports/jobs?documents=60", token)[2]["id"]
            assert running.job("search", id, token)["state"] == "done"
            return bool(servers.ask(url, 'portal_indexing_documents_processed{index="reports"} == 60'))

        servers.until(indexed, PATIENCE, message="another number of documents is told than was indexed")
        assert servers.ask(url, 'sum(celery_task_failed_total{name="platform.infer",exception="LookupError"})')


def _alert(name: str) -> str:
    """The left side of an alert's comparison."""
    import yaml

    rules = [
        rule for group in yaml.safe_load((LOAD / "alerts/slo.yml").read_text())["groups"] for rule in group["rules"]
    ]
    return str(next(rule["expr"] for rule in rules if rule["alert"] == name)).rpartition(">")[0].strip()


def test_a_tenant_over_its_limit_gets_refusals_that_keep_the_contract(running: Running) -> None:
    token = running.log_in("visitor-1")
    answers = [running.ask("GET", "/me", token) for _ in range(12)]
    refused = [answer for answer in answers if answer[0] == 429]
    assert refused
    assert [load_slo.contract_violations(*answer) for answer in refused] == [[]] * len(refused)


def _locust(
    running: Running, gateway: str, summary: Path, *more: str, workers: int = 0, logins: str = ""
) -> tuple[int, dict[str, Any]]:
    dearest = ("--dearest-call", "3")  # a search, at the stage's decision endpoint
    options = ("--users", "6", "--spawn-rate", "6", "--run-time", "6s", "--stop-timeout", "3", *dearest, *more)
    status = run_load.locust(
        running.url(gateway), *options, summary=summary, workers=workers,
        environment={**running.environment, **({"PLATFORM_LOGINS": logins} if logins else {})},
    )  # fmt: skip
    return status, json.loads(summary.read_text())


def test_locust_judges_by_the_objectives(running: Running, tmp_path: Path) -> None:
    status, found = _locust(running, "slow", tmp_path / "slow.json")
    assert (status, found["slo_met"], found["errors"]) == (1, False, 0)
    status, found = _locust(running, "gateway", tmp_path / "fast.json", "--slo-p95-ms", "60000")
    assert (status, found["slo_met"], found["errors"], found["broken_refusals"]) == (0, True, 0, 0)
    assert found["refused_on_purpose"]


def test_a_master_judges_what_its_workers_did(running: Running, tmp_path: Path) -> None:
    status, found = _locust(running, "slow", tmp_path / "slow.json", workers=2)
    assert (status, found["slo_met"], found["workers"]) == (1, False, 2)
    status, found = _locust(running, "gateway", tmp_path / "fast.json", "--slo-p95-ms", "60000", workers=2)
    assert (status, found["slo_met"], found["errors"], found["broken_refusals"]) == (0, True, 0, 0), found["failures"]
    assert found["workers"] == 2
    assert found["refused_on_purpose"], "what the workers' own handlers count reaches the master"


def test_the_classes_have_the_weights_of_the_brief(running: Running) -> None:
    code = "import json, load_test as t; print(json.dumps({c.__name__: c.weight for c in t.APIUser.__subclasses__() if not c.fixed_count}))"
    environment = {**running.environment, "PYTHONPATH": str(LOAD)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    weights = json.loads(found.stdout.splitlines()[-1])
    assert weights == {"ClinicianUser": 50, "ResearcherUser": 30, "AdminUser": 10, "RadiologyWorkflowUser": 20}


def _logins_with(running: Running, limited: str, to: Path) -> Path:
    """A file of logins whose only clinician may make five calls a minute."""
    rows = [row for row in json.loads((running.data / "logins.json").read_text()) if row["username"] != "clinician-1"]
    to.write_text(json.dumps([{"username": limited, "password": PASSWORD, "tenant": "lakeside"}, *rows]))
    return to


def test_refusing_who_is_within_the_limits_misses_an_objective(running: Running, tmp_path: Path) -> None:
    """However fast and well-formed the refusals are."""
    logins = str(_logins_with(running, "clinician-locust", tmp_path / "locust-logins.json"))
    status, found = _locust(running, "gateway", tmp_path / "locust.json", "--slo-p95-ms", "60000", logins=logins)
    assert (status, [each["name"] for each in found["slo"] if not each["met"]]) == (1, ["refused within the limits"])
    assert "/me (over limit)" in {row["name"] for row in found["routes"]}
    ordinary = sum(row["requests"] for row in found["routes"] if row["name"] != "/me (over limit)")
    assert found["within_limits"]["requests"] == ordinary < found["requests"]
    logins = str(_logins_with(running, "clinician-k6", tmp_path / "k6-logins.json"))
    status, found = _k6(running, "gateway", tmp_path / "k6.json", P95_MS="60000", PLATFORM_LOGINS=logins)
    missed = {
        each["name"] for each in found["slo"] if not each["met"] and each["actual"]
    }  # no more than that was measured
    assert (status, missed) == (99, {"rate_limited"})


def _k6(running: Running, gateway: str, summary: Path, **more: str) -> tuple[int, dict[str, Any]]:
    given = {
        "GATEWAY_URL": running.url(gateway),
        "PLATFORM_LOGINS": f"{running.data}/logins.json",
        "LOAD_SECONDS": "3",
        "VUS": "1",
    }
    words = [
        word
        for name, value in {**given, "K6_SUMMARY": str(summary), **more}.items()
        for word in ("-e", f"{name}={value}")
    ]
    command = [str(BIN / "k6"), "run", "--quiet", "--no-usage-report", *words, str(LOAD / "k6_load_test.js")]
    answer = subprocess.run(command, cwd=running.data, capture_output=True, text=True, timeout=300)
    assert summary.exists(), answer.stderr[-3000:]
    return answer.returncode, json.loads(summary.read_text())


def test_k6_fails_by_its_thresholds_when_the_service_is_slow(running: Running, tmp_path: Path) -> None:
    status, slow = _k6(running, "slow", tmp_path / "slow.json")
    missed = {each["name"] for each in slow["slo"] if not each["met"]}
    assert status == 99, "k6's own status for thresholds that are crossed"
    assert {"http_req_duration", "search_latency", "ml_latency"} <= missed
    status, fast = _k6(running, "gateway", tmp_path / "fast.json", P95_MS="60000")
    assert (status, fast["slo_met"]) == (0, True), [each for each in fast["slo"] if not each["met"]]
    scenarios = {each["name"].partition("scenario:")[2].rstrip("}") for each in fast["slo"]} - {""}
    assert scenarios == {
        "browse_studies",
        "keyword_search",
        "filtered_search",
        "semantic_search",
        "ml_inference",
        "health_check",
    }
