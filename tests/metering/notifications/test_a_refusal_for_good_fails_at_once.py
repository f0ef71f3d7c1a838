from __future__ import annotations

import pytest

from metering.models import Notification, NotificationState
from metering.telling import notifications
from tests.metering.notifications.conftest import NOW

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("command", "answer"),
    [("RCPT", "550 5.1.1 No such user"), ("RCPT", "553 bad address"), ("DATA", "554 5.7.1 Refused as spam")],
)
def test_the_recipient_or_the_message_is_refused(smtp, owed, command, answer):
    notification = owed()
    smtp.answers[command] = [answer]
    notifications.send_due(NOW)
    notification.refresh_from_db()

    assert (notification.state, notification.last_error) == (NotificationState.FAILED, answer)
    assert smtp.mails == []


@pytest.mark.parametrize(
    "recipient",
    [
        "a@b.example, evil@x.example",
        "a@b.example\r\nBcc: evil@x.example",
        "Alice <a@b.example>",
        "a b@c.example",
        "",
        "@",
    ],
)
def test_what_is_not_one_plain_address_is_never_owed(smtp, letter, recipient):
    assert notifications.owe(letter, key="k", recipients=[recipient], tenant=None, now=NOW) == 0
    assert Notification.objects.count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recipient", "a@b.example, evil@x.example"),
        ("recipient", "a@b.example\nBcc: evil@x.example"),
        ("subject", "Hello\r\nBcc: evil@x.example"),
        ("subject", "Hello\nX: y"),
    ],
)
def test_nor_sent_should_it_get_into_the_table(smtp, owed, field, value):
    notification = owed()
    Notification.objects.filter(pk=notification.pk).update(**{field: value})
    notifications.send_due(NOW)
    notification.refresh_from_db()

    assert notification.state == NotificationState.FAILED
    assert smtp.raw == []
