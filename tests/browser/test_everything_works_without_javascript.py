from __future__ import annotations

import re
from collections.abc import Callable

from tenants.models import Role

from .conftest import Visit
from .stage import PASSWORD, Stage


def test_signing_in_and_out(visit: Callable[..., Visit]) -> None:
    window = visit(script=False)
    page = window.page
    page.goto(window.base + "/t/acme/keys")
    page.fill("[name=login]", "bob")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    assert page.url == window.base + "/t/acme/keys"
    page.click(".sidebar-inner > details:last-child > summary")
    page.click(".sidebar button:has-text('Sign out')")
    page.goto(window.base + "/t/acme/")
    assert "/accounts/login/" in page.url


def test_a_key_from_making_to_revoking(visit: Callable[..., Visit]) -> None:
    window = visit("alice", script=False)
    page = window.page
    page.goto(window.base + "/t/acme/keys")
    page.click("text=Create key")
    page.fill("[name=name]", "Without scripts")
    page.check("[value=decide]")
    page.click("main button:has-text('Create key')")
    assert re.search(r"gpk_test_acme_\w{16}_", page.inner_text(".secret"))
    page.click("text=I have copied it")
    page.click("tr:has-text('Without scripts') >> text=Revoke")
    assert page.url.endswith("/revoke")
    page.click("main button:has-text('Revoke key')")
    assert "is revoked" in page.inner_text("#toasts")


def test_a_role_is_changed_on_a_page_of_its_own(visit: Callable[..., Visit], stage: Stage) -> None:
    stage.join("nora")
    window = visit("alice", script=False)
    page = window.page
    page.goto(window.base + "/t/acme/members")
    page.click("tr:has-text('nora') >> text=Change role")
    page.select_option("[name=role]", "billing")
    page.click("main button:has-text('Change role')")
    assert "nora is Billing now" in page.inner_text("#toasts")
    assert stage.role_of("nora") == Role.BILLING


def test_the_budget_is_saved(visit: Callable[..., Visit]) -> None:
    window = visit("carol", script=False)
    page = window.page
    page.goto(window.base + "/t/acme/budget/new")
    page.fill("[name=name]", "GPU")
    page.select_option("[name=about]", "meter:gpu_hours")
    page.fill("[name=amount]", "7500")
    page.fill("[name=steps-0-percent]", "50")
    page.click("text=Save budget")
    assert "Budget saved" in page.inner_text("#toasts")
    assert page.inner_text("main").count("$7,500") >= 1


def test_usage_is_asked_by_a_form(visit: Callable[..., Visit]) -> None:
    window = visit("victor", script=False)
    page = window.page
    page.goto(window.base + "/t/acme/usage?meter=api_calls")
    page.select_option("[name=group_by]", "user")
    page.click("main button:has-text('Apply')")
    assert "group_by=user" in page.url
    assert page.locator("main table").count() >= 1


def test_the_theme_is_a_form(visit: Callable[..., Visit]) -> None:
    window = visit(script=False)
    window.page.goto(window.base + "/accounts/login/")
    window.page.click("button[aria-label=Dark]")
    assert window.page.get_attribute("html", "data-theme") == "dark"


def test_a_phone_has_its_menu(visit: Callable[..., Visit]) -> None:
    window = visit("alice", script=False, width=390)
    window.page.goto(window.base + "/t/acme/keys")
    window.page.click("summary[aria-label=Menu]")
    window.page.click(".drawer >> text=Members")
    assert window.page.url.endswith("/members")


def test_more_is_asked_for_and_taken_back(visit: Callable[..., Visit]) -> None:
    window = visit("ada", script=False)
    page = window.page
    page.goto(window.base + "/t/acme/quotas/request?limit=rate_limit:hour")
    page.fill("[name=asked]", "2500")
    page.fill("[name=justification]", "The evaluation of the new model runs over the weekend.")
    page.click("main button:has-text('Ask for more')")
    assert "Asked." in page.inner_text("#toasts")
    assert "2,500 calls" in page.inner_text("#requests")
    page.click("#requests li:has-text('2,500 calls') >> text=Withdraw")
    page.click("main button.btn-danger, main button.btn-primary")
    assert "withdrawn" in page.inner_text("#toasts")


def test_money_is_written_as_the_reader_likes(visit: Callable[..., Visit]) -> None:
    window = visit("carol", script=False)
    page = window.page
    page.goto(window.base + "/t/acme/settings")
    page.select_option("[name=locale]", "de-DE")
    page.select_option("[name=sign]", "code")
    page.click("form:has([name=locale]) button")
    assert page.url == window.base + "/t/acme/settings"
    assert "1.234,50\xa0USD" in page.inner_text("main")
