"""The real tasks, as beat runs them, and the real enforcement: what is spent is refused and mailed within 60 seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as configured
from django.core import mail
from django.utils import timezone

from metering import budgets, tasks
from metering.budgets import Plan, Step
from metering.budgets.pace import LATEST
from metering.ledger import ingestion
from metering.models import Notification
from tenants.credentials import apikeys
from tenants.decisions import PROBLEMS
from tenants.enforcement import engine
from tests.portal.api.calling import patient_enforcement

pytestmark = pytest.mark.django_db
Commits = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(autouse=True)
def _enforcement(settings: Any, redis_server: Any) -> Iterator[None]:
    settings.PLATFORM_BUDGET_USD = "1000000000"
    with patient_enforcement(settings):
        yield


def every(name: str) -> float:
    return float(configured.CELERY_BEAT_SCHEDULE[name]["schedule"])


def test_the_cadence_of_all_steps_together_is_below_a_minute() -> None:
    """Worst case: each step has just run when the one before it ends. A budget far from its mark is looked at after LATEST."""
    looked_at = LATEST.total_seconds() + every("check budgets")
    before = every("flush call counters") + every("roll up usage")

    assert before + looked_at + every("send notifications") <= 60
    assert before + looked_at + every("send webhooks") <= 60


def test_one_run_of_each_task_refuses_and_mails(
    cast: Any, django_capture_on_commit_callbacks: Commits, redis_server: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        key = apikeys.create(cast.acme, name="key", scopes=["decide"], by=None, actor="test").text.encode()
        steps = (Step(100, "block", ("cfo@acme.example",)),)
        budget = budgets.create(cast.acme, Plan("Month", steps, amount=Decimal(100)), actor="user:alice")
    assert engine.enforcer().consume(key).allowed
    now = timezone.now()
    event = {
        "specversion": "1.0", "source": "/tests", "id": "e1", "type": "api_calls", "time": now, "data": {"quantity": 100_000},
    }  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        ingestion.book(cast.acme, [event], now)
        tasks.roll_up_usage()
        tasks.check_budgets()
    refused = engine.enforcer().consume(key)
    assert (refused.allowed, refused.code, PROBLEMS[refused.code].status) == (False, "budget_exhausted", 402)
    assert "or until the budget is raised" in refused.detail
    tasks.send_notifications()
    assert [(message.to, "is used up" in message.body) for message in mail.outbox] == [(["cfo@acme.example"], True)]
    assert Notification.objects.get().state == "sent"

    with django_capture_on_commit_callbacks(execute=True):
        budgets.set_budget(cast.acme, Decimal(1000), [100], "user:alice")
        assert budget.pk
        tasks.check_budgets()
    assert engine.enforcer().consume(key).allowed
