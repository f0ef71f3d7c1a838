from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db


def test_with_the_token(client, settings):
    page = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).content.decode()

    assert "portal_database_metrics_up 1.0" in page
    assert 'portal_notifications{state="failed"} 0.0' in page
    assert page.count("# TYPE portal_platform_budget_usd gauge") == 1


def test_not_without_it(client):
    answer = client.get("/metrics")

    assert answer.status_code == 401
    assert b"portal_" not in answer.content
