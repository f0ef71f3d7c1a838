from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from tests.tenants.cast import Cast

from .conftest import Browse


@pytest.mark.parametrize("who", ["olivia", "alice"])
def test_staff_marks_are_a_superusers_business(who: str, cast: Cast, browse: Browse) -> None:
    user = cast.people[who]
    url = reverse("admin:tenants_user_change", args=[user.pk])
    values = {
        "username": user.username, "email": user.email, "first_name": "New", "last_name": "", "is_active": "on",
        "is_staff": "on", "is_superuser": "on", "groups": [Group.objects.get(name="Operators").pk],
    }  # fmt: skip
    before = (user.is_staff, user.is_superuser, list(user.groups.values_list("name", flat=True)))
    assert browse("olivia").post(url, values).status_code == 302
    user.refresh_from_db()
    assert user.first_name == "New"
    assert (user.is_staff, user.is_superuser, list(user.groups.values_list("name", flat=True))) == before


@pytest.mark.parametrize("page", ["change", "password_change"])
def test_a_superusers_account_is_closed_to_operators(page: str, cast: Cast, browse: Browse) -> None:
    root = cast.people["root"]
    name = "admin:tenants_user_change" if page == "change" else "admin:auth_user_password_change"
    values = {
        "username": "root",
        "email": "olivia@platform.example",
        "password1": "n3w-passw0rd-x",
        "password2": "n3w-passw0rd-x",
    }
    assert browse("olivia").post(reverse(name, args=[root.pk]), values).status_code == 403
    root.refresh_from_db()
    assert root.email == "root@platform.example"
    assert not root.check_password("n3w-passw0rd-x")


def test_groups_are_a_superusers_business(cast: Cast, browse: Browse) -> None:
    group = Group.objects.get(name="Operators")
    assert browse("olivia").post(reverse("admin:auth_group_change", args=[group.pk]), {"name": "x"}).status_code == 403


def test_the_admins_own_password_form_leads_to_the_limited_one(cast: Cast, client: object) -> None:
    answer = client.post("/admin/login/?next=/admin/", {"username": "root", "password": "x"})  # type: ignore[attr-defined]
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")
