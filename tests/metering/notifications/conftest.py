"""A real SMTP server that does what a test tells it, and the settings that lead to it."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller

from metering.mail.rendering import Letter
from metering.models import Notification
from metering.telling import notifications
from portal.embedded import free_port

NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)


class Server:
    """Answers by command: `answers["RCPT"] = ["451 later", …]` are used up one by one, then everything is accepted."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.hangs_at = ""
        self.on: dict[str, Callable[[], None]] = {}
        self.raw: list[bytes] = []
        self.rcpt_tos: list[list[str]] = []
        self.mail_froms: list[str] = []
        self.peers: set[tuple[str, int]] = set()

    @property
    def mails(self) -> list[EmailMessage]:
        return [cast(EmailMessage, email.message_from_bytes(raw, policy=email.policy.default)) for raw in self.raw]

    async def _answer(self, command: str) -> str | None:
        if command in self.on:
            self.on[command]()
        if self.hangs_at == command:
            await asyncio.sleep(30)
        waiting = self.answers.get(command)
        return waiting.pop(0) if waiting else None

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.peers.add(session.peer)
        refusal = await self._answer("MAIL")
        if refusal is None:
            envelope.mail_from = address
        return refusal or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        refusal = await self._answer("RCPT")
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        refusal = await self._answer("DATA")
        if refusal is None:
            self.raw.append(envelope.original_content)
            self.rcpt_tos.append(envelope.rcpt_tos)
            self.mail_froms.append(envelope.mail_from)
            await self._answer("AFTER")
        return refusal or "250 accepted"


@pytest.fixture
def smtp(settings) -> Iterator[Server]:
    """The server, running, and the portal's mail settings leading to it."""
    handler = Server()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), ready_timeout=10)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    settings.EMAIL_TIMEOUT = 5
    settings.DEFAULT_FROM_EMAIL = "Aurelius Portal <portal@example.org>"
    settings.SITE_URL = "https://portal.example.org"
    yield handler
    handler.hangs_at = ""
    controller.stop(no_assert=True)


@pytest.fixture
def letter() -> Letter:
    return Letter(
        "budget-alert",
        "Acme: 80% of the budget is spent",
        "Plain words.\n.\nAfter a dot.\n",
        "<p>Words in <b>HTML</b>.</p>",
    )


@pytest.fixture
def owed(db, letter) -> Callable[..., Notification]:
    """One mail that is owed to alice, or to whom you say."""

    def owe(
        recipient: str = "alice@acme.example", key: str = "budget:1:2026-07:80", now: datetime = NOW
    ) -> Notification:
        notifications.owe(letter, key=key, recipients=[recipient], tenant=None, now=now)
        return Notification.objects.get(dedupe_key=notifications.dedupe_key(key, recipient))

    return owe
