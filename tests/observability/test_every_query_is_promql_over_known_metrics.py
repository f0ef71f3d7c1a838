"""Every expression of dashboards and rules is PromQL, and asks only for metrics that something exports."""

import json

import pytest
import yaml

from infra.observability.as_code import known, promql
from infra.observability.as_code.__main__ import FOLDER

from .promtool import needs_promtool, run

ALERTS = known.ROOT / "infra/observability/alerts"


def panel_queries():
    for path in sorted(FOLDER.rglob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}-{panel['id']}{target['refId']}", target["expr"]


def rule_queries():
    for path in sorted(ALERTS.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for number, rule in enumerate(group["rules"]):
                yield f"{path.stem}-{number}-{rule.get('alert') or rule['record']}", rule["expr"]


QUERIES = [*panel_queries(), *rule_queries()]


@pytest.mark.parametrize(("name", "expr"), QUERIES, ids=[name for name, _ in QUERIES])
def test_it_asks_for_metrics_that_exist(name, expr):
    asked = {selector.metric for selector in promql.selectors(expr)}
    assert asked - known.every_name() == set()
    assert asked or "vector(" in expr


def test_a_metric_that_nobody_exports_would_be_found():
    assert promql.selectors("sum(rate(portal_nonsense_total[5m]))")[0].metric not in known.every_name()


@pytest.mark.parametrize(
    ("expr", "metrics"),
    [
        ("sum by (a) (rate(x_total[5m])) / on (a) group_left (b) y", ["x_total", "y"]),
        ('{__name__=~"x.*", tenant="a"}', [""]),
        ('label_replace(x, "a", "$1", "b", "(.*)") or vector(0)', ["x"]),
        ("max_over_time(x[1h:5m] offset 1d) unless y{a='}{'}", ["x", "y"]),
        ("topk(5, sum(x) without (a))", ["x"]),
    ],
)
def test_selectors_are_read_right(expr, metrics):
    assert [selector.metric for selector in promql.selectors(expr)] == metrics


@pytest.mark.parametrize("expr", ["x{a=b}", "x{a='b'", "sum by (a x", "x $ y"])
def test_what_is_not_promql_is_not_read_over(expr):
    with pytest.raises(ValueError):
        promql.selectors(expr)


@needs_promtool
def test_promtool_parses_every_query_of_the_dashboards(tmp_path):
    rules = [
        {"record": f"panel:query:{number}", "expr": promql.filled(expr)}
        for number, (_, expr) in enumerate(panel_queries())
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    status, output = run("check", "rules", str(file))
    assert status == 0, output
    assert f"{len(rules)} rules found" in output
