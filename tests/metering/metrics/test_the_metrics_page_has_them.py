from __future__ import annotations

import pytest

from portal.telemetry.business import PAGE
from tenants import exposition

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _anew() -> None:
    PAGE.forget()
    exposition.forget()


def test_with_the_token(client, settings):
    page = client.get(
        "/metrics/business", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}
    ).content.decode()

    assert "portal_database_metrics_up 1.0" in page
    assert 'portal_notifications{state="failed"} 0.0' in page
    assert page.count("# TYPE portal_platform_budget_usd gauge") == 1


def test_a_process_speaks_for_itself(client, settings):
    page = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).content.decode()

    assert "portal_http_requests_in_progress 1.0" in page
    assert "portal_quota_used" not in page, "with several web machines everything would be counted several times"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/business"])
def test_not_without_it(client, path):
    answer = client.get(path)

    assert answer.status_code == 401
    assert b"portal_" not in answer.content
