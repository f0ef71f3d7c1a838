from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils import timezone

from metering.mail.rendering import Letter
from metering.models import Notice, NoticeKind, NoticePace, Notification
from metering.telling import notice_digests, notices, notifications
from tenants import access
from tenants.models import Membership, Role
from tenants.problems import ProblemError
from tests.portal.web.conftest import Cast, text_of

NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
MANAGERS = ["alice@acme.example", "ada@acme.example", "finance@acme.example"]


def tell(cast: Cast, key: str = "budget-alert:1", kind: str = "budget-alert", now: datetime = NOW) -> None:
    letter = Letter(kind, "Acme Radiology: 80% of the budget is spent", "text", "<p>text</p>")
    notifications.owe(letter, key=key, recipients=MANAGERS, tenant=cast.acme, now=now)


def mailed(kind: str = "budget-alert") -> list[str]:
    return sorted(Notification.objects.filter(kind=kind).values_list("recipient", flat=True))


def test_at_once_unless_chosen_otherwise(cast: Cast) -> None:
    tell(cast)
    tell(cast)
    assert mailed() == sorted(MANAGERS)
    assert Notice.objects.count() == 2, "alice's and ada's, once; the finance address is nobody's membership"


def test_off_is_listed_and_not_mailed(cast: Cast, browse: Callable[[str], Client]) -> None:
    notices.choose(cast.membership("ada"), {NoticeKind.BUDGET: NoticePace.OFF})
    tell(cast)
    assert mailed() == ["alice@acme.example", "finance@acme.example"]
    assert "80% of the budget is spent" in text_of(browse("ada").get("/t/acme/notifications"))


def test_once_a_day_is_one_mail_after_seven(cast: Cast) -> None:
    notices.choose(cast.membership("ada"), {NoticeKind.BUDGET: NoticePace.DAILY})
    tell(cast)
    tell(cast, "budget-alert:2")
    assert notice_digests.send_all(datetime(2026, 7, 16, 4, 59, tzinfo=UTC)) == 0, "6:59 in Zürich"
    assert notice_digests.send_all(datetime(2026, 7, 16, 5, 0, tzinfo=UTC)) == 1
    assert notice_digests.send_all(datetime(2026, 7, 16, 5, 5, tzinfo=UTC)) == 0
    mail = Notification.objects.get(kind="notice-digest")
    assert mail.recipient == "ada@acme.example"
    assert mail.text.count("80% of the budget") == 2
    assert not Notice.objects.filter(mail_owed=True).exists()


def test_the_last_owner_cannot_switch_off_what_somebody_must_hear(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice = cast.membership("alice")
    with pytest.raises(ProblemError):
        notices.choose(alice, {NoticeKind.BUDGET: NoticePace.OFF})
    page = browse("alice").post("/t/acme/notifications/choose", dict.fromkeys(NoticeKind.values, "off"))
    assert page.status_code == 400
    assert "only owner" in text_of(page)
    notices.choose(alice, {NoticeKind.QUOTA: NoticePace.OFF})


def test_who_becomes_the_last_owner_hears_again(cast: Cast) -> None:
    ada = cast.membership("ada")
    Membership.objects.filter(pk=ada.pk).update(role=Role.OWNER)
    notices.choose(cast.membership("ada"), {NoticeKind.BUDGET: NoticePace.OFF})
    Membership.objects.filter(pk=cast.membership("alice").pk).update(role=Role.MEMBER)
    tell(cast)
    assert "ada@acme.example" in mailed()


def test_other_mails_pass_as_before(cast: Cast) -> None:
    tell(cast, "x", "unknown-usage")
    assert mailed("unknown-usage") == sorted(MANAGERS)
    assert not Notice.objects.exists()


def test_the_bell_counts_and_forgets_what_was_read(cast: Cast, browse: Callable[[str], Client]) -> None:
    tell(cast)
    alice = browse("alice")
    assert "bell-count" in text_of(alice.get("/t/acme/notifications/count"))
    assert "bell-count" not in text_of(browse("bob").get("/t/acme/notifications/count"))
    alice.post("/t/acme/notifications/read")
    assert "bell-count" not in text_of(alice.get("/t/acme/notifications/count"))


def test_one_tenants_scope_does_not_see_anothers(cast: Cast) -> None:
    tell(cast)
    with access.tenant_scope(cast.globex):
        assert not Notice.objects.exists()
        assert notices.mark_read(cast.membership("mallory"), timezone.now()) == 0
    assert Notice.objects.filter(read_at__isnull=True).count() == 2


def test_each_role_chooses_only_for_what_it_is_told_of(cast: Cast) -> None:
    assert notices.kinds_for(Role.VIEWER) == []
    assert notices.kinds_for(Role.MEMBER) == [NoticeKind.REQUEST]
    assert notices.kinds_for(Role.BILLING) == [NoticeKind.BUDGET, NoticeKind.INVOICE, NoticeKind.ANOMALY]


@pytest.mark.parametrize(("kind", "page"), [("gpu-idle", "/gpus"), ("gpu-release", "/reservations")])
def test_gpus_are_a_kind_of_their_own(cast: Cast, browse: Callable[[str], Client], kind: str, page: str) -> None:
    notices.choose(cast.membership("ada"), {NoticeKind.GPU: NoticePace.OFF})
    tell(cast, "gpu:1", kind)
    assert mailed(kind) == ["alice@acme.example", "finance@acme.example"]
    shown = text_of(browse("ada").get("/t/acme/notifications"))
    assert f'href="/t/acme{page}"' in shown
    assert "GPUs" in shown
