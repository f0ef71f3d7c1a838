"""The real nginx' inner door for the reference platform: the API, as if by TLS, and no page, no token, no metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from infra.observability.as_code.known import ROOT

from . import servers

lacking = servers.missing("nginx")
pytestmark = [pytest.mark.skipif(bool(lacking), reason=lacking)]


def test_the_api_and_nothing_else(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    def portal(handler, body):  # type: ignore[no-untyped-def]
        seen.append({name.lower(): value for name, value in handler.headers.items()} | {"path": handler.path})
        return 200, {}, b"portal"

    web = servers.Web(portal)
    folder = tmp_path / "nginx"
    folder.mkdir()
    with servers.nginx(folder, {"portal": web.url.removeprefix("http://")}):
        inner = "http://" + re.findall(r"listen (127\.0\.0\.1:\d+);", (folder / "nginx.conf").read_text())[0]
        forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http", "Host": "evil.example"}
        assert servers.fetch(f"{inner}/api/v1/me?a=1", headers=forged)[0] == 200
        for path in (
            "/",
            "/admin/",
            "/accounts/login/",
            "/metrics",
            "/grafana-auth/operator",
            "/api/../metrics",
            "/prometheus/",
            "/api",
        ):
            status = servers.fetch(inner + path)[0]
            assert status in (301, 404), path
    web.close()
    assert [each["path"] for each in seen] == ["/api/v1/me?a=1"]
    assert (seen[0]["x-forwarded-proto"], seen[0]["host"], seen[0]["x-forwarded-for"]) == (
        "https",
        "localhost",
        "127.0.0.1",
    )


def test_the_compose_file_prices_what_the_platform_reports() -> None:
    source = (ROOT / "infra/platform/onboarding.py").read_text()
    meters = re.findall(r'^    "(\w+:[\w ]+:\w+:[\d.]+)",$', source, re.MULTILINE)
    command = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["platform-meters"]["command"]
    assert len(meters) == 3
    assert command == ["python", "manage.py", "add_meter", *meters, "--now"]
