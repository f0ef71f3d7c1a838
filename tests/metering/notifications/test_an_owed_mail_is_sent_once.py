from __future__ import annotations

from datetime import timedelta

import pytest

from metering.models import Notification, NotificationState
from metering.telling import notifications
from tests.metering.notifications.conftest import NOW

pytestmark = pytest.mark.django_db


def test_it_arrives_as_it_was_written(smtp, owed, letter):
    notification = owed()
    assert notifications.send_due(NOW) == 1
    notification.refresh_from_db()

    (mail,) = smtp.mails
    assert mail["Subject"] == letter.subject
    assert mail["To"] == "alice@acme.example"
    assert mail["From"] == "Aurelius Portal <portal@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n") == letter.text
    assert mail.get_body(("html",)).get_content().strip() == letter.html
    assert (smtp.mail_froms, smtp.rcpt_tos) == (["portal@example.org"], [["alice@acme.example"]])
    assert (notification.state, notification.attempts, notification.last_error) == (NotificationState.SENT, 1, "")
    assert notification.sent_at >= NOW


def test_only_once(smtp, owed):
    owed()
    notifications.send_due(NOW)

    assert notifications.send_due(NOW + timedelta(days=1)) == 0
    assert len(smtp.mails) == 1


def test_a_key_is_owed_once_to_each_person(smtp, letter):
    def owe(*recipients: str) -> int:
        return notifications.owe(letter, key="k", recipients=recipients, tenant=None, now=NOW)

    assert owe("alice@acme.example", "carol@acme.example", "ALICE@acme.example") == 2
    assert owe("Alice@Acme.example", "dave@acme.example") == 1
    assert Notification.objects.count() == 3


def test_not_before_it_is_due(smtp, owed):
    owed(now=NOW + timedelta(minutes=1))

    assert notifications.send_due(NOW) == 0
    assert smtp.mails == []


def test_several_go_over_one_connection_in_their_order(smtp, owed):
    for number in range(3):
        owed(f"person{number}@acme.example", key=f"k{number}", now=NOW + timedelta(seconds=number))

    assert notifications.send_due(NOW + timedelta(minutes=1)) == 3
    assert [mail["To"] for mail in smtp.mails] == [f"person{number}@acme.example" for number in range(3)]
    assert len(smtp.peers) == 1


def test_the_message_id_comes_from_the_key(smtp, owed):
    """Should a mail ever be doubled behind our back, mail systems can tell."""
    notification = owed()
    notifications.send_due(NOW)
    Notification.objects.filter(pk=notification.pk).update(state="pending", handed_over_at=None, next_attempt_at=NOW)
    notifications.send_due(NOW)
    first, again = smtp.mails

    assert first["Message-ID"] == again["Message-ID"]
    assert first["Message-ID"].endswith("@portal.example.org>")


def test_other_backends_work_too(settings, owed, mailoutbox):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    notification = owed()

    assert notifications.send_due(NOW) == 1
    assert [mail.to for mail in mailoutbox] == [[notification.recipient]]


def test_a_person_can_have_it_sent_again(smtp, owed):
    """Also one of which nobody knows whether it was sent: that is the person's decision."""
    notification = owed()
    smtp.answers["RCPT"] = ["550 no such user"]
    notifications.send_due(NOW)
    Notification.objects.update(handed_over_at=NOW)
    later = NOW + timedelta(days=3)

    assert notifications.send_again(Notification.objects.all(), later) == 1
    assert notifications.send_due(later) == 1
    notification.refresh_from_db()
    assert (notification.state, notification.attempts) == (NotificationState.SENT, 2)
    assert notifications.send_again(Notification.objects.all(), later) == 0
