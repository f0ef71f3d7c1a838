"""`python -m infra.observability.as_code`: write every dashboard's JSON; `--check` only says which differ (exit status 1)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import api, gpu_costs, jobs, slo, tenant
from .grafana import Dashboard, dashboard_json

FOLDER = Path(__file__).resolve().parent.parent / "dashboards"
OPERATORS = (api.DASHBOARD, jobs.DASHBOARD, gpu_costs.DASHBOARD, slo.DASHBOARD)
TENANTS = (tenant.DASHBOARD,)


def path_of(dashboard: Dashboard) -> Path:
    """Where the dashboard lies. Tenants' dashboards have a folder of their own: each Grafana is given only its own."""
    return (FOLDER if dashboard.for_operators else FOLDER / "tenants") / f"{dashboard.uid}.json"


def text_of(dashboard: Dashboard) -> str:
    return json.dumps(dashboard_json(dashboard), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    stale = []
    for dashboard in (*OPERATORS, *TENANTS):
        path, text = path_of(dashboard), text_of(dashboard)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    verb = "differ from the code: run `make dashboards`" if "--check" in arguments else "written"
    sys.stdout.write(f"{', '.join(stale)} {verb}\n" if stale else "Dashboards are up to date.\n")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
