"""Live: real Prometheus with our rules, real Alertmanager with our routes, inhibitions and mail template; a real mailbox (SMTP), a chat and a
pager at the wire, and the portal itself. Only addresses, tokens' files and waiting times differ from what is deployed.
"""

from __future__ import annotations

import email
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from metering.models import AlertState, MonitoringAlert
from portal.embedded import free_port
from tests.tenants.cast import make_cast

from . import servers

lacking = servers.missing("prometheus", "prometheus-alertmanager")
pytestmark = [pytest.mark.skipif(bool(lacking), reason=lacking), pytest.mark.slow]

TOKEN = "tests-only-alerts-token"
QUOTA = 'tenant="acme",resource="api_calls"'
BAD = f"""portal_quota_used{{{QUOTA}}} 100
portal_quota_limit{{{QUOTA}}} 100
portal_quota_used{{tenant="globex",resource="gpu_hours"}} 85
portal_quota_limit{{tenant="globex",resource="gpu_hours"}} 100
portal_cost_month_to_date_usd{{tenant="acme",category="gpu"}} 9500
portal_platform_budget_usd 10000
celery_queue_length{{queue_name="celery"}} 5000
celery_worker_up{{hostname="a"}} 0
node_filesystem_avail_bytes{{mountpoint="/",fstype="ext4"}} 5
node_filesystem_size_bytes{{mountpoint="/",fstype="ext4"}} 100
opensearch_cluster_status{{cluster="main"}} 2
portal_collector_up{{collector="nvml",node="n",kind="gpu"}} 1
"""
GOOD = BAD.replace('"celery"} 5000', '"celery"} 5').replace('"a"} 0', '"a"} 1').replace('"main"} 2', '"main"} 0')
WATCHED = {"CRITICAL", "WARNING", "INFO", "Over"}


@dataclass
class Receivers:
    """What was heard, and what Prometheus is shown."""

    mails: list[Message] = field(default_factory=list)
    chats: list[dict[str, Any]] = field(default_factory=list)
    pages: list[dict[str, Any]] = field(default_factory=list)
    series: str = BAD

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 OK"

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


def _rules(folder: Path) -> None:
    """Our rules; only the waiting is shorter."""
    for path in (servers.CONFIG / "alerts").glob("*.yml"):
        text = re.sub(r"for: \d+[smh]", "for: 1s", path.read_text())
        (folder / path.name).write_text(re.sub(r"interval: \d+[smh]", "interval: 1s", text))


def _alertmanager(folder: Path, smtp: int, hook: str, portal: str) -> Path:
    for name, value in (("alerts_token", TOKEN), ("chat_webhook_url", f"{hook}/chat"), ("pager_routing_key", "r" * 32)):
        (folder / name).write_text(value)
    text = (servers.CONFIG / "alertmanager/alertmanager.yml").read_text()
    text = (
        text.replace("/run/secrets", str(folder))
        .replace("mail:1025", f"127.0.0.1:{smtp}")
        .replace("http://web:8000", portal)
    )
    text = text.replace("https://events.pagerduty.com/v2/enqueue", f"{hook}/page")
    text = text.replace("/etc/alertmanager/", f"{servers.CONFIG}/alertmanager/")
    text = re.sub(r"group_wait: \d+s", "group_wait: 3s", text)
    text = re.sub(r"group_interval: \d+[sm]", "group_interval: 2s", text)
    (folder / "alertmanager.yml").write_text(text)
    return folder / "alertmanager.yml"


@pytest.fixture
def heard(live_server: Any, transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Receivers]:
    settings.ALERTS_TOKEN = TOKEN
    make_cast()
    found = Receivers()

    def answer(handler: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if handler.path == "/metrics":
            return 200, {"Content-Type": "text/plain; version=0.0.4"}, found.series.encode()
        (found.chats if handler.path == "/chat" else found.pages).append(json.loads(body))
        return 202, {}, b'{"status":"success"}'

    web = servers.Web(answer)
    mailbox = Controller(found, hostname="127.0.0.1", port=free_port())
    mailbox.start()
    port = free_port()
    config = _alertmanager(tmp_path, mailbox.port, web.url, live_server.url)
    options = (
        f"--config.file={config}", f"--storage.path={tmp_path}/am", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        f"--web.external-url=http://127.0.0.1:{port}/alertmanager/",
    )  # fmt: skip
    _rules(tmp_path)
    scraped = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s", "external_labels": {"site": "https://portal.example.org"}},
        "rule_files": [f"{tmp_path}/{path.name}" for path in (servers.CONFIG / "alerts").glob("*.yml")],
        "alerting": {"alertmanagers": [{"path_prefix": "/alertmanager", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]},
        "scrape_configs": [{"job_name": "platform", "static_configs": [{"targets": [f"127.0.0.1:{web.port}"]}]}],
    }  # fmt: skip
    ready = f"http://127.0.0.1:{port}/alertmanager/-/ready"
    with (
        servers.running("prometheus-alertmanager", *options, ready=ready, log=tmp_path / "am.log"),
        servers.prometheus(tmp_path / "prometheus", json.dumps(scraped), "--rules.alert.resend-delay=2s"),
    ):
        yield found
    mailbox.stop()
    web.close()


def test_they_fire_are_told_everywhere_inhibited_and_end(heard: Receivers) -> None:
    def firing() -> set[str]:
        return set(MonitoringAlert.objects.filter(state=AlertState.FIRING).values_list("name", flat=True))

    wanted = {
        "TenantQuotaAbove100", "TenantQuotaAbove80", "MonthlyCostAbove90Percent", "NoActiveWorkers", "StorageAbove90", "SearchClusterNotGreen",
    }  # fmt: skip
    servers.until(lambda: firing() >= wanted, 90, f"only {firing()}")

    mailed = {
        "CRITICAL: acme has used up its api_calls quota", "CRITICAL: No worker is alive", "CRITICAL: / on",
        "WARNING: globex has used over 80 % of its gpu_hours quota", "WARNING: This month's cost is over 90 % of the budget",
        "WARNING: OpenSearch cluster main is not green",
    }  # fmt: skip
    servers.until(
        lambda: all(any(text.startswith(start) for text in heard.subjects()) for start in mailed),
        40,
        str(heard.subjects()),
    )
    by_team = {str(mail["Subject"]): str(mail["To"]) for mail in heard.mails}
    assert by_team["CRITICAL: No worker is alive"] == "platform@example.org"
    assert by_team["WARNING: This month's cost is over 90 % of the budget"] == "finance@example.org"
    text = "".join(part.get_payload(decode=True).decode() for part in heard.mails[0].walk() if not part.is_multipart())  # type: ignore[union-attr]
    assert "https://portal.example.org/runbooks/" in text

    paged = {page["payload"]["summary"] for page in servers.until(lambda: heard.pages, 20)}
    assert any("No worker is alive" in text for text in paged)
    assert servers.until(lambda: any("No worker is alive" in json.dumps(chat) for chat in heard.chats), 20)

    # The cause is told, not its consequences; the worse, not the mild.
    told = " ".join(heard.subjects())
    for quiet in ("tasks wait in the queue", "over 80 % of the budget", "over 80 % full", "acme has used over 80 %"):
        assert quiet not in told, quiet

    acme = MonitoringAlert.objects.get(name="TenantQuotaAbove100")
    assert acme.tenant is not None
    assert (acme.tenant.slug, acme.severity) == ("acme", "critical")

    heard.series = GOOD
    servers.until(lambda: not firing() & {"NoActiveWorkers", "SearchClusterNotGreen"}, 60, f"still {firing()}")
    assert "StorageAbove90" in firing()
    servers.until(lambda: any(text.startswith("Over: No worker is alive") for text in heard.subjects()), 30)
