"""For 24 hours, with growing pauses; never twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from metering.models import NotificationState
from metering.telling import notifications
from portal.embedded import free_port
from tests.metering.notifications.conftest import NOW

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_temporary_refusal(smtp, owed, command):
    notification = owed()
    smtp.answers[command] = ["451 4.7.1 Try again later"]
    assert notifications.send_due(NOW) == 0
    notification.refresh_from_db()

    assert (notification.state, notification.attempts) == (NotificationState.PENDING, 1)
    assert notification.last_error == "451 4.7.1 Try again later"
    assert timedelta(0) <= notification.next_attempt_at - (NOW + MINUTE) < timedelta(seconds=5)

    assert notifications.send_due(NOW + 30 * timedelta(seconds=1)) == 0
    assert notifications.send_due(NOW + 2 * MINUTE) == 1
    assert len(smtp.mails) == 1


def test_a_refused_mail_does_not_hold_up_the_next(smtp, owed):
    owed("first@acme.example", key="a")
    owed("second@acme.example", key="b")
    smtp.answers["RCPT"] = ["450 mailbox busy"]

    assert notifications.send_due(NOW) == 1
    assert [mail["To"] for mail in smtp.mails] == ["second@acme.example"]


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
def test_a_server_that_hangs_before_the_message(smtp, owed, settings, command):
    settings.EMAIL_TIMEOUT = 0.3
    notification = owed()
    smtp.hangs_at = command
    assert notifications.send_due(NOW) == 0
    notification.refresh_from_db()

    assert (notification.state, notification.handed_over_at) == (NotificationState.PENDING, None)
    assert notification.last_error

    smtp.hangs_at, settings.EMAIL_TIMEOUT = "", 5
    assert notifications.send_due(NOW + 2 * MINUTE) == 1
    assert len(smtp.mails) == 1


def test_a_refused_connection_stops_the_run_after_one_try(smtp, owed, settings):
    first, second = owed(key="a"), owed(key="b")
    settings.EMAIL_PORT = free_port()
    assert notifications.send_due(NOW) == 0
    first.refresh_from_db()
    second.refresh_from_db()

    assert "refused" in first.last_error.lower()
    assert (first.attempts, second.attempts) == (1, 0)


def test_pauses_double_up_to_an_hour_and_end_after_a_day(smtp, owed, settings):
    settings.EMAIL_PORT = free_port()
    notification = owed()
    at, pauses = NOW, []
    while True:
        notifications.send_due(at)
        notification.refresh_from_db()
        if notification.state != NotificationState.PENDING:
            break
        pauses.append(round((notification.next_attempt_at - at).total_seconds() / 60))
        at = notification.next_attempt_at

    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert notification.state == NotificationState.FAILED
    assert notification.last_error.startswith("Given up after 24 hours: ")
    assert timedelta(hours=22) < at - NOW <= timedelta(hours=24)


def test_a_failed_mail_is_left_alone(smtp, owed):
    notification = owed()
    type(notification).objects.update(state="failed", next_attempt_at=NOW)

    assert notifications.send_due(NOW + timedelta(days=3)) == 0
    assert smtp.mails == []


def test_a_sender_without_a_valid_address_of_ours_is_an_operators_matter(smtp, owed):
    """5xx to MAIL FROM is about us, not about the recipient: it is mended in the settings, so the mail waits."""
    notification = owed()
    smtp.answers["MAIL"] = ["530 5.7.0 Authentication required"]
    notifications.send_due(NOW)
    notification.refresh_from_db()

    assert notification.state == NotificationState.PENDING
