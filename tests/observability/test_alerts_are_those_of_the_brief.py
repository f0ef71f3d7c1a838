"""The 21 rules, each with severity, team, summary, description and a runbook that exists; the others in files of their own."""

import pytest
import yaml

from infra.observability.as_code.known import ROOT

ALERTS = ROOT / "infra/observability/alerts"
RULES = [
    (path.stem, rule)
    for path in sorted(ALERTS.glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
BRIEF = {
    "slo": {
        "ApiAvailabilityBelowSlo": "critical", "ApiLatencyHigh": "warning", "ApiErrorRateHigh": "critical",
        "InferenceLatencyHigh": "warning", "GpuUtilizationLow": "info", "GpuMemoryHigh": "warning", "SearchLatencyHigh": "warning",
        "SearchClusterNotGreen": "warning", "DatabasePoolNearlyFull": "critical",
    },
    "operations": {
        "QueueDepthHigh": "warning", "NoActiveWorkers": "critical", "TaskFailureRateHigh": "warning", "SlowDatabaseQueries": "warning",
        "StorageAbove80": "warning", "StorageAbove90": "critical", "RateLimitHitsHigh": "info",
    },
    "budget": {
        "MonthlyCostAbove80Percent": "info", "MonthlyCostAbove90Percent": "warning", "MonthlyCostAbove100Percent": "critical",
        "TenantQuotaAbove80": "warning", "TenantQuotaAbove100": "critical",
    },
}  # fmt: skip


@pytest.mark.parametrize("file", BRIEF)
def test_exactly_these_with_these_severities(file):
    assert {rule["alert"]: rule["labels"]["severity"] for stem, rule in RULES if stem == file} == BRIEF[file]


def test_they_are_twenty_one():
    assert sum(len(rules) for rules in BRIEF.values()) == 21


@pytest.mark.parametrize(("file", "rule"), RULES, ids=[f"{rule['alert']}-{at}" for at, (_, rule) in enumerate(RULES)])
def test_each_says_how_bad_whose_what_and_what_to_do(file, rule):
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["labels"]["team"] in {"platform", "ml", "search", "finance", "customer-success"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == f"{{{{ $externalLabels.site }}}}/runbooks/{rule['alert']}.md"


@pytest.mark.parametrize("name", sorted({rule["alert"] for _, rule in RULES}))
def test_each_has_a_runbook_with_its_four_parts(name):
    text = (ROOT / "docs/runbooks" / f"{name}.md").read_text()
    parts = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
    assert [line for line in text.splitlines() if line.startswith("## ")] == parts
    assert text.startswith(f"# {name}\n")


def test_no_runbook_is_left_over():
    written = {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")} - {"README"}
    assert written == {rule["alert"] for _, rule in RULES}


def test_each_has_a_case_in_which_it_fires():
    cases = "".join(path.read_text() for path in (ALERTS / "tests").glob("*.yml"))
    assert [rule["alert"] for _, rule in RULES if f'alertname="{rule["alert"]}"' not in cases] == []
