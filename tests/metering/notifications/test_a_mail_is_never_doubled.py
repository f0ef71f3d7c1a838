"""At most one: from the hand-over until the answer is written down nobody can know, and then nothing is sent again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.db import connections

from metering.mail import delivery
from metering.models import Notification, NotificationState
from metering.telling import notifications
from tests.metering.notifications.conftest import NOW

pytestmark = pytest.mark.django_db(transaction=True)
AFTER_THE_LEASE = NOW + notifications.LEASE + timedelta(seconds=1)


def test_a_server_that_takes_the_mail_and_never_says_so(smtp, owed, monkeypatch):
    notification = owed()
    monkeypatch.setattr(delivery, "ANSWER_SECONDS", 0.3)
    smtp.hangs_at = "AFTER"
    assert notifications.send_due(NOW) == 0
    smtp.hangs_at = ""
    notifications.send_due(AFTER_THE_LEASE)
    notification.refresh_from_db()

    assert len(smtp.mails) == 1
    assert notification.state == NotificationState.FAILED
    assert notification.last_error.startswith("The mail server did not answer")


def test_a_message_refused_for_now_was_certainly_not_sent(smtp, owed):
    notification = owed()
    smtp.answers["DATA"] = ["452 4.3.1 Insufficient system storage"]
    notifications.send_due(NOW)
    notification.refresh_from_db()
    assert (notification.state, notification.handed_over_at) == (NotificationState.PENDING, None)

    assert notifications.send_due(NOW + timedelta(minutes=2)) == 1
    assert len(smtp.mails) == 1


class TestKilled:
    """A sender in a process of its own, killed with SIGKILL at a moment that the mail server chooses."""

    @pytest.fixture
    def kill_at(self, smtp, owed, settings, server_environment):
        def run(moment: str) -> Notification:
            notification = owed()
            code = "import django; django.setup(); from datetime import datetime; from metering.telling import notifications; "
            code += f"notifications.send_due(datetime.fromisoformat({NOW.isoformat()!r}))"
            environment = server_environment | {"EMAIL_URL": f"smtp://127.0.0.1:{settings.EMAIL_PORT}"}
            child = subprocess.Popen([sys.executable, "-c", code], env=environment)
            smtp.on[moment] = lambda: os.kill(child.pid, signal.SIGKILL)
            assert child.wait(60) == -signal.SIGKILL
            smtp.on.clear()
            return notification

        return run

    def test_before_the_hand_over_it_is_sent_by_the_next(self, kill_at, smtp):
        notification = kill_at("RCPT")
        assert notifications.send_due(NOW + timedelta(minutes=1)) == 0, "the lease of the dead sender still holds"
        assert notifications.send_due(AFTER_THE_LEASE) == 1
        notification.refresh_from_db()

        assert len(smtp.mails) == 1
        assert (notification.state, notification.attempts) == (NotificationState.SENT, 2)

    def test_after_the_server_took_it_it_is_not_sent_again_and_says_so(self, kill_at, smtp):
        notification = kill_at("AFTER")
        notifications.send_due(AFTER_THE_LEASE)
        notification.refresh_from_db()

        assert len(smtp.mails) == 1
        assert notification.state == NotificationState.FAILED
        assert notification.last_error.startswith("The sender was killed while the mail server had the mail")


def test_two_senders_at_once_share_the_work(smtp, owed):
    for number in range(12):
        owed(f"person{number}@acme.example", key=f"k{number}")
    start, sent = threading.Barrier(3), []

    def send() -> None:
        start.wait()
        try:
            sent.append(notifications.send_due(NOW))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(sent) == 12
    assert sorted(mail["To"] for mail in smtp.mails) == sorted(f"person{number}@acme.example" for number in range(12))


def test_a_sender_that_slept_past_its_lease_sends_nothing(smtp, owed):
    """While the first one waits at RCPT, its lease passes and a second one sends the mail; the first finds that it is no longer his."""
    notification = owed()

    def meanwhile() -> None:
        smtp.on.clear()
        thread = threading.Thread(target=run_second)
        thread.start()
        thread.join(30)

    def run_second() -> None:
        try:
            claimed = notifications._claim(AFTER_THE_LEASE)
            assert claimed is not None
            assert claimed.attempts == 2
        finally:
            connections.close_all()

    smtp.on["RCPT"] = meanwhile
    assert notifications.send_due(NOW) == 0
    notification.refresh_from_db()

    assert smtp.raw == []
    assert (notification.state, notification.attempts, notification.handed_over_at) == (
        NotificationState.SENDING,
        2,
        None,
    )
