"""tenants and metering use the OpenTelemetry API; exporters, samplers and instrumentations are portal.telemetry's alone."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGURES = re.compile(r"^\s*(?:from|import)\s+opentelemetry\.(?:sdk|exporter|instrumentation)\b", re.MULTILINE)


def test_no_other_module_imports_the_sdk():
    modules = [path for app in ("portal", "tenants", "metering") for path in (ROOT / app).rglob("*.py")]
    outside = [path for path in modules if (ROOT / "portal" / "telemetry") not in path.parents]
    assert len(outside) > 100
    assert [str(path.relative_to(ROOT)) for path in outside if CONFIGURES.search(path.read_text())] == []
