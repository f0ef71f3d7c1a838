"""A mail server that keeps everything it is given: each mail as `.eml`, as readable `.html` and `.txt`, and a list of all.

Real SMTP on loopback: the portal sends exactly as in production.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Mails of the demo</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1b2e}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #ddd;vertical-align:top}a{color:#4338ca}</style>
<h1>Mails of the demo</h1><p>{count}, newest first.</p>
<table><tr><th>Received (UTC)<th>To<th>Subject<th>As</tr>{rows}</table></html>
"""


class MailCatcher:
    """An SMTP server on 127.0.0.1 that writes into `folder`. `start()` and `stop()`; it runs in a thread of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._controller = Controller(self, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)

    def start(self) -> None:
        """Raises OSError when the port is in use."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_index(self.folder)
        self._controller.start()

    def stop(self) -> None:
        """Stop accepting mail."""
        self._controller.stop()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep one mail. Called by aiosmtpd."""
        keep(self.folder, envelope.content, envelope.rcpt_tos)
        return "250 kept"


def keep(folder: Path, content: bytes, recipients: Iterable[str], now: datetime | None = None) -> Path:
    """Write one mail in its three forms and renew the list; returns the path of the `.eml`."""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    moment = (now or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S-%f")
    stem = f"{moment}-{_slug(str(message['subject'] or 'no subject'))}"
    to = ", ".join(recipients)
    body = {kind: part.get_content() for kind in ("html", "plain") if (part := message.get_body((kind,))) is not None}
    head = f"From: {message['from']}\nTo: {to}\nSubject: {message['subject']}\nDate: {message['date']}\n"
    (folder / f"{stem}.txt").write_text(f"{head}\n{body.get('plain', '')}", encoding="utf-8")
    if "html" in body:
        (folder / f"{stem}.html").write_text(body["html"], encoding="utf-8")
    path = folder / f"{stem}.eml"
    path.write_bytes(content)
    write_index(folder)
    return path


def write_index(folder: Path) -> None:
    """`index.html`: every mail with links to its forms."""
    mails = sorted(folder.glob("*.eml"), reverse=True)
    rows = "".join(_row(path) for path in mails)
    count = f"{len(mails)} mail{'' if len(mails) == 1 else 's'}" if mails else "None yet"
    scratch = folder / ".index.html"
    scratch.write_text(PAGE.replace("{count}", count).replace("{rows}", rows), encoding="utf-8")
    scratch.replace(folder / "index.html")


def _row(path: Path) -> str:
    with path.open("rb") as handle:
        message = message_from_bytes(handle.read(), policy=policy.default)
    received = datetime.strptime(path.name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    links = " ".join(
        f'<a href="{html.escape(form.name)}">{form.suffix[1:]}</a>'
        for form in (path.with_suffix(suffix) for suffix in (".html", ".txt", ".eml"))
        if form.exists()
    )
    cells = (
        f"{received:%Y-%m-%d %H:%M:%S}",
        html.escape(str(message["to"])),
        html.escape(str(message["subject"])),
        links,
    )
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>\n"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "mail"
