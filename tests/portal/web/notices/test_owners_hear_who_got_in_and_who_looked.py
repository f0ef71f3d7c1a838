from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from metering.models import Notice, Notification
from tenants.models import Role, User
from tenants.people import visits
from tests.portal.web.conftest import Cast, text_of


def test_a_new_member_is_told_to_the_others_who_manage(cast: Cast, browse: Callable[[str], Client]) -> None:
    User.objects.create_user("dora", "dora@acme.example", "demo-demo-demo")
    browse("alice").post("/t/acme/members/new", {"person": "dora", "role": "admin"})
    told = Notification.objects.filter(kind="access-changed").values_list("recipient", flat=True)
    assert sorted(told) == ["ada@acme.example", "alice@acme.example"]
    assert "dora is a member now" in text_of(browse("ada").get("/t/acme/notifications"))


def test_a_look_by_the_platforms_staff_is_told_with_its_reason(cast: Cast) -> None:
    app, codename = visits.PERMISSION.split(".")
    olivia = cast.people["olivia"]
    olivia.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    visits.begin(cast.acme, Role.VIEWER, by=User.objects.get(pk=olivia.pk), reason="Ticket 4711", now=timezone.now())
    assert Notice.objects.filter(tenant=cast.acme, kind="access").count() == 2
    assert set(Notice.objects.values_list("page", flat=True)) == {"activity"}  # which says who looked, when, and why
    assert "Ticket 4711" in Notification.objects.filter(kind="access-changed")[0].text
