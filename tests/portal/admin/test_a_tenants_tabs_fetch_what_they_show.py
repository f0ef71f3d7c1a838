from __future__ import annotations

import pytest
from django.urls import reverse

from portal.admin.tenant_tabs import TABS, LaterTab
from tests.tenants.cast import Cast

from .conftest import Browse, form_values, text_of


@pytest.mark.parametrize("tab", TABS)
def test_the_page_names_the_tabs_address_and_it_holds_the_part(tab: type[LaterTab], cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    page = text_of(olivia.get(reverse("admin:tenants_tenant_change", args=[cast.acme.pk])))
    address = tab.address(tab, cast.acme)  # type: ignore[arg-type]  # reads nothing of the instance
    assert f'hx-get="{address}"' in page
    answer = olivia.get(address)
    assert answer.status_code == 200
    if tab.picks == "#pa-costs":
        assert 'id="pa-costs"' in text_of(answer)


def test_saving_the_page_still_works_with_them(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    url = reverse("admin:tenants_tenant_change", args=[cast.acme.pk])
    values = {**form_values(olivia.get(url)), "name": "Acme Imaging", "audit_reason": "renamed"}
    assert olivia.post(url, values).status_code == 302
    cast.acme.refresh_from_db()
    assert cast.acme.name == "Acme Imaging"
