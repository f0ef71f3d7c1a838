"""Every part hangs: each is named, and the doctor ends when the last deadline has passed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from portal.doctor import Check, State, broken, examine, ok, watchers
from portal.doctor.parts import mail


@pytest.fixture
def hanging() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_check_that_never_ends_is_left_behind() -> None:
    never = threading.Event()

    def hangs():
        never.wait(120)
        return ok("at last")

    def throws():
        raise LookupError("gone\nwith the wind")

    checks = [
        Check("a", hangs, 0.3),
        Check("b", lambda: ok("fine")),
        Check("c", throws, mend="look"),
        Check("d", hangs, 0.3),
    ]
    first, good, bad, last = examine(checks)
    never.set()
    assert good.finding == ok("fine")
    assert bad.finding == broken("LookupError: gone", "look")
    assert {first.finding, last.finding} == {
        broken("no answer within 0.3 s", "It hangs: look whether it runs, and what lies between.")
    }


@pytest.mark.django_db
def test_servers_that_take_connections_and_say_nothing(hanging, settings, monkeypatch):
    settings.PROMETHEUS_URL = settings.ALERTMANAGER_URL = hanging
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", int(hanging.rpartition(":")[2])
    looks = [watchers.prometheus, watchers.rules, watchers.panels, watchers.alertmanager, mail]
    for result in examine(Check(look.__name__, look, 1.0) for look in looks):
        assert result.finding.state is State.BROKEN
        assert result.finding.mend
