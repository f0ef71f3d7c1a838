from __future__ import annotations

from collections.abc import Callable

from .conftest import Visit
from .stage import PASSWORD, Stage


def tab_to(window: Visit, selector: str, most: int = 60) -> None:
    """Press Tab until the element has the focus, and see that the focus can be seen."""
    for _ in range(most):
        window.page.keyboard.press("Tab")
        if window.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            width = window.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width != "0px", f"the focus on {selector} cannot be seen"
            return
    raise AssertionError(f"{selector} cannot be reached by Tab")


def test_signing_in_by_keyboard(visit: Callable[..., Visit]) -> None:
    window = visit()
    page = window.page
    window.open("/accounts/login/")
    page.keyboard.type("bob")
    tab_to(window, "[name=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/t/acme/")


def test_the_first_tab_skips_the_menu(visit: Callable[..., Visit]) -> None:
    window = visit("alice")
    window.open("/t/acme/keys")
    window.page.keyboard.press("Tab")
    assert window.page.evaluate("document.activeElement.className") == "skip-link"
    window.page.keyboard.press("Enter")
    assert window.page.evaluate("document.activeElement.id") == "main"


def test_a_key_is_revoked_in_a_dialog(visit: Callable[..., Visit], stage: Stage) -> None:
    window = visit("alice")
    page = window.page
    stage.issue("Of the keyboard")
    window.open("/t/acme/keys")
    tab_to(window, "tr:has(.cell-title) a[data-dialog][href$='/revoke']")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert not page.is_visible("dialog[open]")
    assert page.evaluate("document.activeElement.matches('a[data-dialog]')"), "the focus returns to where it was"
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    tab_to(window, "dialog button.btn-danger")
    page.keyboard.press("Enter")
    page.wait_for_selector("#toasts .toast")
    assert "is revoked" in page.inner_text("#toasts")
    assert window.check() == []


def test_menus_open_and_close(visit: Callable[..., Visit]) -> None:
    window = visit("alice")
    window.open("/t/acme/keys")
    tab_to(window, ".sidebar-inner > details:last-child > summary")
    window.page.keyboard.press("Enter")
    assert window.page.is_visible("text=Sign out")
    window.page.keyboard.press("Escape")
    assert not window.page.is_visible(".sidebar >> text=Sign out")
    assert window.page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_more_is_asked_for_by_keyboard(visit: Callable[..., Visit]) -> None:
    window = visit("alice")
    window.open("/t/acme/quotas/request?limit=quota:storage_gb")
    for selector, text in (("[name=asked]", "2000"), ("[name=justification]", "Two more sites go live.")):
        tab_to(window, selector)
        window.page.keyboard.type(text)
    tab_to(window, "main form button.btn-primary")
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/t/acme/quotas#requests")
    assert "2,000 GB" in window.page.inner_text("#requests")
    assert window.check() == []
