"""Hands one mail to the mail server, and says what became of it as exactly as SMTP allows.

    with Delivery() as delivery:
        delivery.send(envelope, hand_over=lambda: …)

Between the last byte of a message and the server's answer nobody can know whether it was taken. `hand_over` is called right before
that window opens, so that the caller can write down that from here on the mail may have been sent.
"""

from __future__ import annotations

import mimetypes
import re
import smtplib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parseaddr
from hashlib import sha256
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.core.mail.message import sanitize_address
from django.core.validators import validate_email

ANSWER_SECONDS = 120
"""How long to wait for the answer to a whole message. Servers that scan mails take their time, and giving up here leaves the outcome
unknown (RFC 5321 asks for ten minutes for that reason)."""


class NotSentError(Exception):
    """The mail was certainly not sent. `permanent`: trying again is of no use. `server_away`: nor is it for other mails now."""

    def __init__(self, text: str, *, permanent: bool = False, server_away: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.server_away = server_away


class UnknownOutcomeError(Exception):
    """The mail was handed over and no answer came: it may have been sent."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A mail to one person. The same `key` always makes the same Message-ID, by which mail systems recognise a repetition."""

    key: str
    recipient: str
    subject: str
    text: str
    html: str = ""
    attachment_name: str = ""
    attachment: str = ""

    @property
    def message_id(self) -> str:
        host = urlsplit(settings.SITE_URL).hostname or "localhost"
        return f"<{sha256(self.key.encode()).hexdigest()[:40]}@{host}>"

    def message(self) -> EmailMultiAlternatives:
        """Raises NotSentError for what cannot be a mail, such as two addresses in one or a line break in a header."""
        address = single_address(self.recipient)
        headers = {"Message-ID": self.message_id, "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
        message = EmailMultiAlternatives(
            self.subject, self.text, settings.DEFAULT_FROM_EMAIL, [address], headers=headers
        )
        if self.html:
            message.attach_alternative(self.html, "text/html")
        if self.attachment_name:
            message.attach(self.attachment_name, self.attachment, mimetypes.guess_type(self.attachment_name)[0])
        return message


def single_address(text: str) -> str:
    """`text` when it is exactly one plain address. Raises NotSentError (permanent) otherwise."""
    try:
        validate_email(text)
    except ValidationError:
        raise NotSentError("not a single e-mail address", permanent=True) from None
    return text


class Delivery:
    """A connection that is opened for the first mail and serves the following ones."""

    def __init__(self) -> None:
        self._backend: Any = get_connection()

    def __enter__(self) -> Delivery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = getattr(self._backend, "connection", None)
        if connection is not None and kind is None:
            with suppress(smtplib.SMTPException, OSError):
                connection.quit()
        self._close()

    def send(self, envelope: Envelope, hand_over: Callable[[], None]) -> None:
        """Returns when the server has taken the mail; raises NotSentError or UnknownOutcomeError. What `hand_over` raises is passed on."""
        try:
            message = envelope.message()
            content = _on_the_wire(message.message().as_bytes(linesep="\r\n"))  # type: ignore[call-arg]  # Django's own takes it
        except (ValueError, UnicodeError) as error:  # a header that cannot be one
            raise NotSentError(f"the mail cannot be written: {error}", permanent=True) from error
        if isinstance(self._backend, SMTPBackend):
            self._by_smtp(content, message.to[0], hand_over)
        else:
            hand_over()
            self._backend.send_messages([message])

    # --------------------------------------------------------------------------------------------------------------- SMTP

    def _by_smtp(self, content: bytes, recipient: str, hand_over: Callable[[], None]) -> None:
        smtp = self._connected()
        try:
            self._envelope(smtp, recipient)
        except (smtplib.SMTPException, OSError) as error:
            self._close()
            raise NotSentError(_words(error), server_away=True) from error
        try:
            hand_over()
        except BaseException:
            self._close()  # the server waits for the message: without its end, nothing is sent
            raise
        try:
            smtp.send(content)
            if smtp.sock is not None:
                smtp.sock.settimeout(ANSWER_SECONDS)
            code, reply = smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            self._close()
            raise UnknownOutcomeError(_words(error)) from error
        if code != 250:
            self._refused(code, reply, permanent=code >= 500)
        if smtp.sock is not None:
            smtp.sock.settimeout(settings.EMAIL_TIMEOUT)

    def _connected(self) -> smtplib.SMTP:
        if self._backend.connection is None:
            try:
                self._backend.open()
                cast(smtplib.SMTP, self._backend.connection).ehlo_or_helo_if_needed()
            except (smtplib.SMTPException, OSError) as error:
                self._close()
                raise NotSentError(_words(error), server_away=True) from error
        return self._backend.connection

    def _envelope(self, smtp: smtplib.SMTP, recipient: str) -> None:
        """MAIL, RCPT and DATA, up to the server's readiness for the message."""
        sender = sanitize_address(parseaddr(settings.DEFAULT_FROM_EMAIL)[1], "utf-8")
        code, reply = smtp.mail(sender)
        if code != 250:  # our own address or the server's mood: operators can mend that, so it is tried again
            self._refused(code, reply, permanent=False)
        code, reply = smtp.rcpt(sanitize_address(recipient, "utf-8"))
        if code not in (250, 251):
            self._refused(code, reply, permanent=code >= 500)
        code, reply = smtp.docmd("DATA")
        if code != 354:
            self._refused(code, reply, permanent=code >= 500)

    def _refused(self, code: int, reply: bytes, *, permanent: bool) -> None:
        self._close_unless_it_goes_on(code)
        raise NotSentError(_answer(code, reply), permanent=permanent)

    def _close_unless_it_goes_on(self, code: int) -> None:
        """After a refusal the connection serves the next mail, if the server says that it does."""
        connection = self._backend.connection
        with suppress(smtplib.SMTPException, OSError):
            if code != 421 and connection is not None and connection.rset()[0] == 250:
                return
        self._close()

    def _close(self) -> None:
        """Drop the connection without a word: in the middle of a message, any word would become a part of it."""
        connection = getattr(self._backend, "connection", None)
        if connection is not None:
            with suppress(smtplib.SMTPException, OSError):
                connection.close()
            self._backend.connection = None


def _on_the_wire(content: bytes) -> bytes:
    """The message with its dots doubled at line starts, and its end."""
    stuffed = re.sub(rb"(?m)^\.", b"..", content)
    return stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def _answer(code: int, reply: bytes) -> str:
    return f"{code} {reply.decode('utf-8', 'replace')}"[:300]


def _words(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        reply = error.smtp_error
        return _answer(error.smtp_code, reply if isinstance(reply, bytes) else str(reply).encode())
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"[:300]
