from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse

from .conftest import Browse

LISTS = sorted(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry)
ADDS = sorted(f"admin:{model._meta.app_label}_{model._meta.model_name}_add" for model in admin.site._registry)
PAGES = [
    "admin:metering_meter_usage",
    "admin:metering_invoice_close",
    "admin:metering_gpudevice_fleet",
    "admin:metering_gpudevice_idle",
]


@pytest.mark.parametrize("name", LISTS + PAGES)
def test_every_list_answers_a_superuser(name: str, browse: Browse) -> None:
    assert browse("root").get(reverse(name)).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_every_list_can_be_searched(name: str, browse: Browse) -> None:
    assert browse("root").get(reverse(name), {"q": "acme' \"%_\\ <b>"}).status_code == 200


@pytest.mark.parametrize("name", ADDS)
def test_every_form_opens_or_is_refused(name: str, browse: Browse) -> None:
    assert browse("root").get(reverse(name)).status_code in (200, 403)


@pytest.mark.parametrize("name", [*LISTS, *ADDS, *PAGES, "admin:index"])
def test_nobody_else_gets_in(name: str, browse: Browse) -> None:
    for person in ("alice", "mallory"):
        answer = browse(person).get(reverse(name))
        assert answer.status_code in (302, 403)
        assert b"acme" not in answer.content
