"""What watches the portal: Prometheus with its targets, rules and panels; Alertmanager with its receivers; the keys of the Grafanas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from portal import grafana_keys
from portal.doctor import Finding, broken, ok, unset
from portal.doctor.asking import Unanswered, get, shown

FOLDER = Path(settings.BASE_DIR) / "infra" / "observability"
NO_PROMETHEUS = unset(
    "PROMETHEUS_URL is empty", "Set it, e.g. http://prometheus:9090/prometheus, to have Prometheus looked at."
)
MEND_ADDRESS = "See PROMETHEUS_URL (with its path), and whether Prometheus runs."
_FILLED = {"$__rate_interval": "5m", "$__range": "6h"}
_NAMES = re.compile(r"\b(?:portal|django|celery|traces|DCGM|node|slo|gpu|tenant)[_:][\w:]*")
_ELSEWHERE = re.compile(r"(?:celery_|traces_|DCGM_|node_|portal_(?:gpu|inference|search|indexing)_)")
"""Series that other exporters, the collector, services or GPUs give: without them a panel is empty, and nothing of ours is wrong."""
_OF_CLICKHOUSE = "portal_event_store_"
"""Series that are there only while the ledger is in ClickHouse."""
_SEVERAL = 4


def prometheus() -> Finding:
    """Reachable, and which of its targets are not."""
    if not settings.PROMETHEUS_URL:
        return NO_PROMETHEUS
    try:
        targets = _data("/api/v1/targets", {"state": "active"})["activeTargets"]
    except Unanswered as error:
        return broken(str(error), MEND_ADDRESS)
    if not targets:
        return broken(
            "Prometheus has no targets",
            "Take over the scrape_configs of infra/observability/prometheus/prometheus.yml.",
        )
    down = [
        f"{each['labels'].get('job', '?')} {each['labels'].get('instance', '')}: {each.get('lastError', '')}"[:160]
        for each in targets
        if each["health"] == "down"
    ]
    if down:
        mend = "Start what is named, or mend its address, token or password (401; runbook TargetDown)."
        return broken(f"{len(down)} of {len(targets)} exporters down: {_some(down)}", mend)
    return ok(f"{len(targets)} exporters are up")


def rules() -> Finding:
    """Every alert and record that ships is loaded and can be evaluated."""
    if not settings.PROMETHEUS_URL:
        return NO_PROMETHEUS
    wanted = set(
        re.findall(
            r"^\s*- (?:alert|record): (\S+)",
            "".join(p.read_text() for p in sorted((FOLDER / "alerts").glob("*.yml"))),
            re.M,
        )
    )
    try:
        loaded = [rule for group in _data("/api/v1/rules")["groups"] for rule in group["rules"]]
    except Unanswered as error:
        return broken(str(error), MEND_ADDRESS)
    if missing := sorted(wanted - {rule["name"] for rule in loaded}):
        return broken(
            f"{len(missing)} of {len(wanted)} rules are not loaded: {_some(missing)}",
            "List infra/observability/alerts/*.yml under rule_files and reload.",
        )
    if bad := [f"{rule['name']}: {rule.get('lastError', '')}"[:160] for rule in loaded if rule.get("health") == "err"]:
        return broken(f"rules fail: {_some(bad)}", "Prometheus → Status → Rules has the whole error.")
    return ok(f"all {len(wanted)} rules and alerts are loaded")


class Panel(NamedTuple):
    """A query of a dashboard."""

    where: str
    expr: str


def panels() -> Finding:
    """Runs every query of every dashboard."""
    if not settings.PROMETHEUS_URL:
        return NO_PROMETHEUS
    there = with_data = 0
    wrong, ours, elsewhere = [], [], set()
    try:
        names = set(_data("/api/v1/label/__name__/values"))
        for panel in shipped_panels():
            if _OF_CLICKHOUSE in panel.expr and settings.EVENT_STORE != "clickhouse":
                continue
            there += 1
            try:
                if _data("/api/v1/query", {"query": panel.expr})["result"]:
                    with_data += 1
                    continue
            except Unanswered as error:
                if " answers 4" not in str(error):
                    raise
                wrong.append(f"{panel.where}: {error}")
                continue
            absent = set(_NAMES.findall(panel.expr)) - names
            foreign = {name for name in absent if _ELSEWHERE.match(name)}
            elsewhere |= foreign
            if absent - foreign:
                ours.append(f"{panel.where} ({', '.join(sorted(absent - foreign))})")
    except Unanswered as error:
        return broken(str(error), MEND_ADDRESS)
    told = f"{with_data} of {there} queries have data"
    if wrong:
        return broken(
            f"{told}; refused: {_some(wrong)}",
            "Prometheus and dashboards are of different versions: run `make dashboards`.",
        )
    if ours:
        return broken(
            f"{told}; series of the portal are missing: {_some(ours)}",
            "Scrape web, decision endpoint, worker and business exporter; load the rules.",
        )
    if elsewhere:
        return unset(
            f"{told}; nothing gives {_some(sorted(elsewhere))}",
            "Run the exporter or service that does (docs/observability.md), if you have it.",
        )
    return ok(told + ("" if with_data == there else "; the others have nothing to tell yet"))


def shipped_panels() -> Iterator[Panel]:
    """Every query of the dashboards as Prometheus gets it; `${__user.login}` and other variables mean everybody and everything."""
    for path in sorted((FOLDER / "dashboards").rglob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                expr: str = target["expr"]
                for name, value in _FILLED.items():
                    expr = expr.replace(name, value)
                expr = re.sub(r'(\w+)="\$\{__user\.login\}"', r'\1=~".+"', expr)
                yield Panel(f"{path.stem} {panel['id']}", re.sub(r"\$\w+|\$\{\w+\}", ".*", expr))


def alertmanager() -> Finding:
    """Reachable, known to Prometheus, with receivers, and nothing of what it sent lately failed."""
    if not settings.ALERTMANAGER_URL:
        return unset(
            "ALERTMANAGER_URL is empty",
            "Set it, e.g. http://alertmanager:9093/alertmanager, to have Alertmanager looked at.",
        )
    try:
        receivers = [each["name"] for each in get(settings.ALERTMANAGER_URL, "/api/v2/receivers")]
        config = str(get(settings.ALERTMANAGER_URL, "/api/v2/status")["config"]["original"])
    except Unanswered as error:
        return broken(str(error), "See ALERTMANAGER_URL (with its path), and whether Alertmanager runs.")
    if "_configs:" not in config:
        return broken(
            f"the receivers {_some(receivers)} tell nobody",
            "Take over infra/observability/alertmanager/mail-and-portal.yml.",
        )
    if settings.PROMETHEUS_URL:
        try:
            known = _data("/api/v1/alertmanagers")["activeAlertmanagers"]
            failed = _data(
                "/api/v1/query",
                {"query": "sum by (integration) (increase(alertmanager_notifications_failed_total[1h])) > 0"},
            )["result"]
        except Unanswered as error:
            return broken(str(error), MEND_ADDRESS)
        if not known:
            return broken(
                "Prometheus knows no Alertmanager",
                "Take over `alerting:` of infra/observability/prometheus/prometheus.yml.",
            )
        if failed:
            which = _some([each["metric"].get("integration", "?") for each in failed])
            return broken(f"notifications by {which} failed within the hour", "Runbook AlertsNotDelivered.")
    if "/api/v1/alerts" in config and not settings.ALERTS_TOKEN:
        return broken(
            "it reports to the portal, whose ALERTS_TOKEN is empty", "Set ALERTS_TOKEN to what its receiver sends."
        )
    missing = "" if "/api/v1/alerts" in config else "; the portal is none of them, so its alert list stays empty"
    return ok(f"{len(receivers)} receivers: {_some(receivers)}{missing}")


def grafana() -> Finding:
    """There is a key to vouch for people with."""
    if not (settings.GRAFANA_OPERATOR_URL or settings.GRAFANA_TENANT_URL):
        return unset("GRAFANA_*_URL are empty: pages show the portal's own charts", "Set them to embed panels.")
    try:
        keys = grafana_keys.read(Path(settings.GRAFANA_KEYS_DIR)) if settings.GRAFANA_KEYS_DIR else []
    except (OSError, ValueError) as error:
        return broken(str(error)[:200], "GRAFANA_KEYS_DIR must be a folder that this process may read.")
    if grafana_keys.signing_key(keys, datetime.now(UTC)) is None:
        return broken("no key vouches for people at Grafana", "Run manage.py grafana_keys --jwks=FILE.")
    return ok(f"{len(keys)} keys; the newest is of {max(key.made_at for key in keys):%Y-%m-%d}")


def _data(path: str, parameters: dict[str, str] | None = None) -> Any:
    answer = get(settings.PROMETHEUS_URL, path, parameters)
    if not isinstance(answer, dict) or "data" not in answer:
        raise Unanswered(f"{shown(settings.PROMETHEUS_URL)} is no Prometheus")
    return answer["data"]


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - _SEVERAL} more" if len(texts) > _SEVERAL else ""
    return ", ".join(texts[:_SEVERAL]) + more
