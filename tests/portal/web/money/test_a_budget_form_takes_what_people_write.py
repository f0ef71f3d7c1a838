from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from metering import budgets
from metering.models import Budget, BudgetAlert
from portal.web.money.budget_forms import StepForm
from tests.portal.web.conftest import Cast, text_of

NEW = "/t/acme/budget/new"


def sent(steps: list[tuple[str, str, str]] | None = None, **values: str) -> dict[str, str]:
    rows = [("80", "notify", ""), ("100", "block", "cfo@acme.example")] if steps is None else steps
    body = {
        "name": "Whole", "about": "all", "period": "month", "kind": "fixed", "amount": "1234.56", "basis": "actual",
        "steps-TOTAL_FORMS": str(len(rows)), "steps-INITIAL_FORMS": "0", **values,
    }  # fmt: skip
    for number, (percent, action, recipients) in enumerate(rows):
        body |= {
            f"steps-{number}-percent": percent,
            f"steps-{number}-action": action,
            f"steps-{number}-recipients": recipients,
        }
    return body


def test_it_is_made_as_it_was_written(browse: Callable[[str], Client]) -> None:
    assert browse("carol").post(NEW, sent()).status_code == 302
    plan = budgets.plan_of(Budget.objects.get())
    assert (plan.name, plan.amount) == ("Whole", Decimal("1234.56"))
    assert plan.steps == (budgets.Step(80), budgets.Step(100, "block", ("cfo@acme.example",)))


def test_a_meters_share_of_the_last_quarter(browse: Callable[[str], Client]) -> None:
    body = sent(about="meter:gpu_hours", period="quarter", kind="share", amount="", percent_of_last="120", floor="50")
    assert browse("alice").post(NEW, body).status_code == 302
    budget = Budget.objects.get()
    assert (budget.scope, budget.scope_value, budget.period) == ("meter", "gpu_hours", "quarter")
    assert (budget.percent_of_last, budget.floor, budget.amount) == (120, Decimal(50), Decimal(50))


def test_it_is_changed_muted_and_ended(browse: Callable[[str], Client], cast: Cast) -> None:
    client = browse("alice")
    client.post(NEW, sent())
    budget = Budget.objects.get()
    page = f"/t/acme/budget/{budget.public_id}"
    assert 'value="1234.56"' in text_of(client.get(page))
    client.post(page, sent(amount="99"))
    client.post(f"{page}/mute", {"days": "7"})
    budget.refresh_from_db()
    assert (budget.amount, budget.muted_until is not None) == (Decimal(99), True)
    client.post(f"{page}/end")
    assert client.get(page).status_code == 404


def test_an_alert_is_acknowledged_with_a_note(browse: Callable[[str], Client], cast: Cast) -> None:
    budget = Budget.objects.create(tenant=cast.acme, amount=100)
    alert = BudgetAlert.objects.create(
        budget=budget,
        tenant=cast.acme,
        period_key="2026-07",
        percent=80,
        cost=80,
        amount=100,
        crossed_at=timezone.now(),
    )
    browse("carol").post(f"/t/acme/budget/alerts/{alert.pk}/acknowledge", {"note": "a trial"})
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.acknowledged_note) == ("user:carol", "a trial")
    assert "“a trial”" in text_of(browse("alice").get("/t/acme/budget"))
    assert browse("mallory").post(f"/t/globex/budget/alerts/{alert.pk}/acknowledge", {}).status_code == 404


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount": "0"}, "more than zero"),
        ({"amount": ""}, "above zero"),
        ({"amount": "NaN"}, "number"),
        ({"about": "project"}, "Name the project"),
        ({"kind": "share", "percent_of_last": "120"}, "at least how much"),
        ({"steps": [("100", "notify", ""), ("80", "notify", "")]}, "ascending order"),
        ({"steps": [("80", "notify", ""), ("80", "notify", "")]}, "named once"),
        ({"steps": [("80", "block", ""), ("100", "throttle", "")]}, "not milder"),
        ({"steps": [("", "notify", "")]}, "1 to 10 thresholds"),
        ({"steps": [("80", "notify", "nobody")]}, "not an e-mail address"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    browse: Callable[[str], Client], change: dict[str, Any], said: str
) -> None:
    answer = browse("alice").post(NEW, sent(**change))
    assert answer.status_code == 400
    assert said in text_of(answer)
    assert not Budget.objects.exists()


@pytest.mark.parametrize("text", ["80.5", "-80", "0", "1001", "eighty", "８０", "1_0"])
def test_a_threshold_is_a_whole_percentage(text: str) -> None:
    assert "percent" in StepForm({"percent": text}).errors


def test_recipients_are_single_addresses_each_once() -> None:
    form = StepForm({"percent": "80 %", "recipients": "a@x.example\nB@x.example, a@x.example"})
    assert form.is_valid(), form.errors
    assert (form.cleaned_data["percent"], form.cleaned_data["recipients"]) == (80, ("a@x.example", "b@x.example"))


@pytest.mark.parametrize("text", ["a@b, evil", "nobody", " ".join(f"a{each}@x.example" for each in range(21))])
def test_other_recipients_are_refused(text: str) -> None:
    assert "recipients" in StepForm({"percent": "80", "recipients": text}).errors
