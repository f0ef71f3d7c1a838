from __future__ import annotations

from typing import Any

from django.urls import reverse

from metering.models import Budget, BudgetAlert
from tenants.models import AuditEntry
from tests.tenants.cast import Cast

from .conftest import Browse, form_values, text_of

ADD = "admin:metering_budget_add"


def filled_in(browse: Browse, cast: Cast, **values: Any) -> Any:
    olivia = browse("olivia")
    url = reverse(ADD)
    start = form_values(olivia.get(url))
    return olivia.post(url, {**start, "tenant": cast.acme.pk, "amount": "500", "audit_reason": "contract", **values})


def test_a_new_budget_starts_with_80_90_100(cast: Cast, browse: Browse) -> None:
    assert filled_in(browse, cast).status_code == 302
    budget = Budget.objects.get(tenant=cast.acme)
    assert list(budget.thresholds.values_list("percent", "tenant_id")) == [
        (80, cast.acme.pk),
        (90, cast.acme.pk),
        (100, cast.acme.pk),
    ]
    assert set(AuditEntry.objects.filter(table_name__startswith="metering_budget").values_list("actor", "reason")) == {
        ("user:olivia", "contract")
    }


def test_marks_and_recipients_can_be_others(cast: Cast, browse: Browse) -> None:
    filled_in(
        browse, cast, **{"thresholds-0-percent": "50", "thresholds-0-recipients": "a@acme.example,b@acme.example"}
    )
    threshold = Budget.objects.get(tenant=cast.acme).thresholds.get(percent=50)
    assert threshold.recipients == ["a@acme.example", "b@acme.example"]


def test_a_recipient_is_one_address(cast: Cast, browse: Browse) -> None:
    answer = filled_in(browse, cast, **{"thresholds-0-recipients": "a@acme.example\r\nBcc: x@evil.example"})
    assert answer.status_code == 200
    assert not Budget.objects.filter(tenant=cast.acme).exists()


def test_it_is_in_the_tenants_currency(cast: Cast, browse: Browse) -> None:
    answer = filled_in(browse, cast, currency="EUR")
    assert "pays in USD" in text_of(answer)
    assert not Budget.objects.filter(tenant=cast.acme).exists()


def test_a_budget_that_has_warned_is_not_deleted(cast: Cast, browse: Browse) -> None:
    budget = Budget.objects.create(tenant=cast.acme, amount=100)
    BudgetAlert.objects.create(budget=budget, tenant=cast.acme, period_key="2026-07", percent=80, cost=80, amount=100)
    assert (
        browse("olivia").post(reverse("admin:metering_budget_delete", args=[budget.pk]), {"post": "yes"}).status_code
        == 403
    )


def test_the_currency_is_that_of_the_prices(cast: Cast, browse: Browse) -> None:
    type(cast.acme).objects.filter(pk=cast.acme.pk).update(currency="EUR")
    assert filled_in(browse, cast, currency="USD").status_code == 302
    assert Budget.objects.get(tenant=cast.acme).currency == "USD"


def test_an_action_is_not_milder_than_one_below_it(cast: Cast, browse: Browse) -> None:
    answer = filled_in(browse, cast, **{"thresholds-0-action": "block", "thresholds-2-action": "throttle"})
    assert "not milder" in text_of(answer)
    assert not Budget.objects.filter(tenant=cast.acme).exists()


def test_marks_out_of_order_are_refused(cast: Cast, browse: Browse) -> None:
    answer = filled_in(browse, cast, **{"thresholds-0-percent": "95"})
    assert "ascending order" in text_of(answer)
    assert not Budget.objects.filter(tenant=cast.acme).exists()


def test_the_platforms_amount_is_the_setting_and_cannot_be_typed(cast: Cast, browse: Browse) -> None:
    budget = Budget.objects.create(tenant=None, name="Platform budget", amount=10_000)
    olivia = browse("olivia")
    url = reverse("admin:metering_budget_change", args=[budget.pk])
    page = olivia.get(url)
    assert 'name="amount"' not in text_of(page)
    olivia.post(url, {**form_values(page), "amount": "5", "audit_reason": "try"})
    budget.refresh_from_db()
    assert budget.amount == 10_000


def test_an_acknowledgement_says_who_and_why(cast: Cast, browse: Browse) -> None:
    budget = Budget.objects.create(tenant=cast.acme, amount=100)
    alert = BudgetAlert.objects.create(
        budget=budget, tenant=cast.acme, period_key="2026-07", percent=80, cost=80, amount=100
    )
    body = {"action": "acknowledge", "_selected_action": [alert.pk], "confirmed": "1", "reason": "called them"}
    browse("olivia").post(reverse("admin:metering_budgetalert_changelist"), body)
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.acknowledged_note) == ("user:olivia", "called them")
