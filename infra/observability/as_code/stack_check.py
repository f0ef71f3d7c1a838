"""`make stack-check`: everything of the compose stack that can be checked without Docker. What needs a tool that is not here is said.

Exit status 1 when a check fails; a missing tool is no failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from . import authentication, known, promql
from .__main__ import OPERATORS, TENANTS, path_of, text_of

HERE = known.ROOT / "infra" / "observability"
COMPOSE: dict[str, Any] = yaml.safe_load((known.ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


class Failed(Exception):
    """A check found something; the message says what."""


class Missing(Exception):
    """A tool is not installed; the message says which and where it comes from."""


def tool(name: str, source: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/go/bin")
    if found is None:
        raise Missing(f"{name} is not installed ({source})")
    return found


def run(*command: str) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if answer.returncode:
        raise Failed((answer.stdout + answer.stderr).strip())
    return answer.stdout + answer.stderr


def compose_file() -> str:
    """docker-compose.yml by its schema; files that are mounted exist."""
    schema = json.loads((known.ROOT / "tests/architecture/compose-spec/compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and not (known.ROOT / source).exists():
                raise Failed(f"{name} mounts {source}, which is not there")
            if not source.startswith(("./", "/")) and source not in COMPOSE["volumes"]:
                raise Failed(f"{name} mounts the volume {source}, which is not declared")
    return f"{len(COMPOSE['services'])} services"


def dashboards() -> str:
    """JSON is what the code writes, and every query asks for metrics that something exports."""
    names, count = known.every_name(), 0
    for dashboard in (*OPERATORS, *TENANTS):
        if path_of(dashboard).read_text(encoding="utf-8") != text_of(dashboard):
            raise Failed(f"{path_of(dashboard).name} differs from its code: run `make dashboards`")
        for panel in dashboard.panels:
            for query in panel.queries:
                count += 1
                unknown = {each.metric for each in promql.selectors(query.expr)} - names
                if unknown:
                    raise Failed(
                        f"{dashboard.uid}, panel {panel.id} asks for {', '.join(sorted(unknown))}, which nothing exports"
                    )
    return f"{count} queries"


def promtool_queries() -> str:
    """Every query of the dashboards, parsed by Prometheus itself."""
    program = tool("promtool", "Debian: prometheus")
    rules = [
        {"record": f"panel:query:{number}", "expr": promql.filled(expr)}
        for number, expr in enumerate(q.expr for each in (*OPERATORS, *TENANTS) for p in each.panels for q in p.queries)
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "panels", "rules": rules}]}, file)
        file.flush()
        run(program, "check", "rules", file.name)
    return f"{len(rules)} queries"


def rules() -> str:
    program = tool("promtool", "Debian: prometheus")
    run(program, "check", "rules", *map(str, sorted((HERE / "alerts").glob("*.yml"))))
    run(program, "test", "rules", *map(str, sorted((HERE / "alerts/tests").glob("*.yml"))))
    return "rules and their cases"


def prometheus() -> str:
    program = tool("promtool", "Debian: prometheus")
    for path in sorted((HERE / "prometheus").glob("*.yml")):
        run(program, "check", "config", "--syntax-only", str(path))
    long_term = yaml.safe_load((HERE / "prometheus/long-term.yml").read_text())
    long_term.pop("remote_write")
    if long_term != yaml.safe_load((HERE / "prometheus/prometheus.yml").read_text()):
        raise Failed("long-term.yml differs from prometheus.yml by more than remote_write")
    return "both configurations"


def alertmanager() -> str:
    program = tool("amtool", "Debian: prometheus-alertmanager")
    for path in sorted((HERE / "alertmanager").glob("*.yml")):
        text = path.read_text().replace("/etc/alertmanager/", f"{HERE}/alertmanager/")
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(text)
            file.flush()
            if "1 templates" not in run(program, "check-config", file.name):
                raise Failed(f"{path.name}: the template of mails was not read")
            heard = {"portal", "platform-mail"} | ({"pager", "chat"} if path.name == "alertmanager.yml" else set())
            command = (
                program,
                "config",
                "routes",
                "test",
                f"--config.file={file.name}",
                "severity=critical",
                "team=platform",
            )
            reached = set(run(*command).splitlines()[0].split(","))
            if reached != heard:
                raise Failed(f"{path.name}: a critical alert reaches {sorted(reached)}, not {sorted(heard)}")
    return "configurations, template, routes"


def nginx() -> str:
    """nginx -t on our files; names of services are replaced by addresses, which nginx would ask Docker's DNS for."""
    program = tool("nginx", "Debian: nginx-light")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        shutil.copytree(HERE / "nginx", target, dirs_exist_ok=True)
        (target / "operators-authorization.conf").write_text('proxy_set_header Authorization "Basic eDp5";\n')
        upstreams = target / "upstreams.conf"
        upstreams.write_text(re.sub(r"server [\w-]+:", "server 127.0.0.1:", upstreams.read_text()))
        main = target / "nginx.conf"
        main.write_text(main.read_text().replace("/tmp/", f"{folder}/tmp-"))  # noqa: S108
        mime = Path("/etc/nginx/mime.types")
        (target / "mime.types").write_text(mime.read_text() if mime.exists() else "types { text/html html; }\n")
        run(program, "-t", "-p", folder, "-c", str(main))
        door = target / "exporters.conf"
        (target / "htpasswd").write_text("prometheus:x\n")
        text = (
            (HERE / "exporters/nginx.conf")
            .read_text()
            .replace("/run/secrets/exporters_htpasswd", str(target / "htpasswd"))
        )
        door.write_text(text.replace("/tmp/", f"{folder}/tmp-"))  # noqa: S108
        run(program, "-t", "-p", folder, "-c", str(door))
    return "nginx -t of the site and of the exporters' door"


def passwords() -> str:
    """Nothing answers strangers, and nothing is asked without a password."""
    if found := list(authentication.open_doors(COMPOSE, HERE)):
        raise Failed("; ".join(found))
    return "nothing answers strangers"


def real_collector() -> str:
    """The collector's configuration, read by the collector itself."""
    program = known.ROOT / ".tools/observability/otelcol"
    if not program.is_file():
        raise Missing("otelcol is not installed (with Go: make stack-tools)")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("otlp_token", "metrics_token", "jaeger_authorization"):
            (Path(folder) / name).write_text("x")
        config = Path(folder) / "collector.yaml"
        config.write_text((HERE / "otel/collector.yaml").read_text().replace("/run/secrets", folder))
        run(str(program), "validate", f"--config={config}")
    return "otelcol validate"


def collector() -> str:
    """Every part that a pipeline names is configured, and nothing is configured that no pipeline uses (collector and Jaeger)."""
    for path in (HERE / "otel/collector.yaml", HERE / "jaeger/config.yaml"):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        used: dict[str, set[str]] = {kind: set() for kind in ("receivers", "processors", "exporters")}
        for pipeline in config["service"]["pipelines"].values():
            for kind in used:
                used[kind] |= set(pipeline.get(kind, []))
        used["extensions"] = set(config["service"].get("extensions", []))
        connectors = set(config.get("connectors") or {})
        for kind, names in used.items():
            there = set(config.get(kind) or {})
            if names - connectors != there:
                raise Failed(f"{path.name}: {kind} used {sorted(names - connectors)}, configured {sorted(there)}")
        if not connectors <= used["exporters"] & used["receivers"] | (connectors - used["receivers"]):
            raise Failed(f"{path.name}: a connector leads nowhere")
    return "pipelines are whole"


def grafana() -> str:
    """Provisioned sources are those that dashboards name; the tenants' has one, and it is the proxy."""
    for folder, boards in (("operators", OPERATORS), ("tenants", TENANTS)):
        sources = yaml.safe_load((HERE / f"grafana/{folder}/datasources/all.yml").read_text())["datasources"]
        named = {
            target["datasource"]["uid"] for each in boards for p in _panels(path_of(each)) for target in p["targets"]
        }
        if not named <= {source["uid"] for source in sources}:
            raise Failed(f"{folder}: dashboards name {sorted(named)}")
        if folder == "tenants" and [source["url"] for source in sources] != ["http://prom-label-proxy:8080"]:
            raise Failed("the tenants' Grafana has another source than prom-label-proxy")
        for source in sources:
            host = re.sub(r"^https?://([^:/]+).*", r"\1", source["url"])
            if host not in COMPOSE["services"]:
                raise Failed(f"{folder}: {source['name']} leads to {host}, which is no service")
        provider = yaml.safe_load((HERE / f"grafana/{folder}/dashboards/all.yml").read_text())["providers"][0]
        if provider["allowUiUpdates"] or provider["options"]["path"] != "/var/lib/dashboards":
            raise Failed(f"{folder}: dashboards are not provisioned from the mounted folder")
    return "sources and dashboards"


def _panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return found


def scraped_services() -> str:
    """Every name that Prometheus, nginx and Alertmanager ask is a service of the compose file."""
    texts = "".join(
        path.read_text()
        for path in (
            HERE / "prometheus/prometheus.yml",
            HERE / "nginx/upstreams.conf",
            *(HERE / "alertmanager").glob("*.yml"),
        )
    )
    hosts = set(re.findall(r"(?<![\w.@/-])([a-z][a-z-]+):\d{4,5}\b", texts)) | set(
        re.findall(r"http://([a-z-]+):", texts)
    )
    unknown = hosts - set(COMPOSE["services"])
    if unknown:
        raise Failed(f"no service is called {', '.join(sorted(unknown))}")
    return f"{len(hosts)} names"


CHECKS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("compose file", compose_file), ("names of services", scraped_services), ("dashboards", dashboards),
    ("dashboards' PromQL", promtool_queries), ("alert rules", rules), ("Prometheus", prometheus), ("Alertmanager", alertmanager),
    ("nginx", nginx), ("collector and Jaeger", collector), ("collector, by itself", real_collector), ("Grafana", grafana),
    ("passwords", passwords),
)  # fmt: skip


def main() -> int:
    failed = 0
    for name, check in CHECKS:
        try:
            sys.stdout.write(f"  ok       {name}: {check()}\n")
        except Missing as lack:
            sys.stdout.write(f"  skipped  {name}: {lack}\n")
        except (Failed, jsonschema.ValidationError, ValueError, KeyError) as problem:
            failed += 1
            sys.stdout.write(f"  FAILED   {name}: {problem}\n")
        sys.stdout.flush()
    sys.stdout.write("Images are pulled and containers started by Docker only: that is not checked here.\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
