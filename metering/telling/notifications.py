"""E-mails that are owed, and their sending.

`owe` writes the mail down in the transaction of its cause; `send_due` sends what is due. The promise, exactly:

- A key is owed once (`dedupe_key` is unique), whatever runs twice.
- **At most one** mail is sent for it. Until the message itself is handed to the mail server, whatever fails is tried again (after 1, 2,
  4 … minutes, at most an hour apart, for 24 hours). From that moment until the server's answer is written down, nobody can know what
  became of it; a mail whose sender was killed or got no answer in those milliseconds is not sent again but marked failed with that
  reason, where operators see it. So a mail may be lost there, visibly; it is never doubled.
- A recipient or a message that the server refuses for good (5xx) fails at once.

Every claim of a row counts up `attempts`, and only the holder of the last claim may hand over and write the outcome: a sender that
slept past its lease cannot send beside its successor.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection
from django.db.models import QuerySet

from metering.mail.delivery import Delivery, Envelope, NotSentError, UnknownOutcomeError
from metering.mail.rendering import Letter
from metering.mail.samples import SAMPLES
from metering.models import Notification, NotificationState
from tenants import spans
from tenants.models import Tenant

from . import notices
from .outbox_metrics import WAITED

LEASE = timedelta(minutes=5)
GIVE_UP_AFTER = timedelta(hours=24)
FIRST_RETRY = timedelta(minutes=1)
LAST_RETRY = timedelta(hours=1)
RUN_SECONDS = 45

log = logging.getLogger(__name__)


def owe(letter: Letter, *, key: str, recipients: Iterable[str], tenant: Tenant | None, now: datetime) -> int:
    """Owe `letter` to each recipient once per `key` (at most 120 characters); how many are new.

    Runs in the caller's transaction. Members of the tenant find it in the portal too, and get the mail as they have chosen
    (notices.py): who wants a digest or none is not among the new. What is not exactly one e-mail address is left out, with a warning in the log.
    """
    addresses = {address.strip().lower(): address.strip() for address in recipients}
    wanted = [address for address in addresses.values() if _is_address(address, key)]
    if tenant is not None:
        wanted = notices.route(letter, key, wanted, tenant, now)
    rows = [_row(letter, key, address, tenant, now) for address in wanted]
    known = set(
        Notification.objects.filter(dedupe_key__in=[row.dedupe_key for row in rows]).values_list(
            "dedupe_key", flat=True
        )
    )
    Notification.objects.bulk_create(rows, ignore_conflicts=True)
    return sum(row.dedupe_key not in known for row in rows)


def dedupe_key(key: str, address: str) -> str:
    """One mail per key and person: addresses differ in case only on paper."""
    return f"{key}:{sha256(address.lower().encode()).hexdigest()[:24]}"


def _row(letter: Letter, key: str, address: str, tenant: Tenant | None, now: datetime) -> Notification:
    return Notification(
        tenant=tenant,
        dedupe_key=dedupe_key(key, address),
        kind=letter.kind,
        recipient=address,
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        attachment_name=letter.attachment_name,
        attachment=letter.attachment,
        created_at=now,
        next_attempt_at=now,
        trace_parent=spans.traceparent(),
    )


def _is_address(address: str, key: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        log.warning("notification.bad_address", extra={"key": key})
        return False
    return True


def preview(name: str) -> Letter:
    """One of the mails with made-up facts; `preview_names` lists them. Raises KeyError for another name."""
    return SAMPLES[name]()


def preview_names() -> list[str]:
    return list(SAMPLES)


# --------------------------------------------------------------------------------------------------------------- sending


def send_due(now: datetime) -> int:
    """Send what is due until nothing is, the mail server is away, or 45 s have passed; how many were sent. Not in a transaction."""
    started = time.monotonic()
    sent = 0
    with Delivery() as delivery:
        while time.monotonic() - started < RUN_SECONDS:
            at = now + timedelta(seconds=time.monotonic() - started)
            notification = _claim(at)
            if notification is None:
                break
            try:
                with (
                    spans.continued(notification.trace_parent),
                    spans.span("notification.send", "consumer", kind=notification.kind),
                ):
                    sent += _send(delivery, notification, at)
            except NotSentError as error:
                _postpone(notification, str(error), at, for_good=error.permanent)
                if error.server_away:
                    break
    return sent


def _claim(now: datetime) -> Notification | None:
    """The next due row, ours until its lease ends. Rows that other senders hold are passed over."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE metering_notification
            SET state = 'sending', attempts = attempts + 1, next_attempt_at = %(lease)s,
                handed_over_at = CASE WHEN state = 'sending' THEN handed_over_at END
            WHERE id = (
                SELECT id FROM metering_notification
                WHERE state IN ('pending', 'sending') AND next_attempt_at <= %(now)s
                ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            RETURNING id
            """,
            {"now": now, "lease": now + LEASE},
        )
        claimed = cursor.fetchone()
    return Notification.objects.get(pk=claimed[0]) if claimed else None


def send_again(chosen: QuerySet[Notification], now: datetime) -> int:
    """Owe mails anew that were given up or wait, for another 24 hours; how many.

    Asked for by a person: a mail whose outcome is unknown may be sent a second time. `attempts` goes on counting, because it is what
    tells senders apart.
    """
    waiting = chosen.filter(state__in=[NotificationState.FAILED, NotificationState.PENDING])
    return waiting.update(state=NotificationState.PENDING, handed_over_at=None, next_attempt_at=now, created_at=now)


class _LostClaimError(Exception):
    """Somebody else has the row now."""


def _send(delivery: Delivery, notification: Notification, now: datetime) -> bool:
    if notification.handed_over_at is not None:
        _fail(
            notification,
            "The sender was killed while the mail server had the mail: it may have been sent, and is not sent twice.",
        )
        return False

    def hand_over() -> None:
        if not _mine(notification).update(handed_over_at=now):
            raise _LostClaimError

    try:
        delivery.send(
            Envelope(
                notification.dedupe_key,
                notification.recipient,
                notification.subject,
                notification.text,
                notification.html,
                notification.attachment_name,
                notification.attachment,
            ),
            hand_over,
        )
    except _LostClaimError:
        return False
    except UnknownOutcomeError as error:
        _fail(notification, f"The mail server did not answer ({error}): it may have been sent, and is not sent twice.")
        return False
    _mine(notification).update(state=NotificationState.SENT, sent_at=now, last_error="")
    WAITED.labels("notification").observe(max(0.0, (now - notification.created_at).total_seconds()))
    log.info("notification.sent", extra={"notification": notification.pk, "kind": notification.kind})
    return True


def _postpone(notification: Notification, error: str, now: datetime, *, for_good: bool) -> None:
    """Certainly not sent: wait and try again, or give up."""
    wait = min(FIRST_RETRY * 2 ** min(notification.attempts - 1, 10), LAST_RETRY)
    if for_good or now + wait > notification.created_at + GIVE_UP_AFTER:
        _fail(notification, error if for_good else f"Given up after 24 hours: {error}")
        return
    _mine(notification).update(
        state=NotificationState.PENDING, handed_over_at=None, next_attempt_at=now + wait, last_error=error[:300]
    )
    log.warning("notification.postponed", extra={"notification": notification.pk, "attempts": notification.attempts})


def _fail(notification: Notification, error: str) -> None:
    _mine(notification).update(state=NotificationState.FAILED, last_error=error[:300])
    log.error("notification.failed", extra={"notification": notification.pk, "kind": notification.kind})


def _mine(notification: Notification) -> QuerySet[Notification]:
    return Notification.objects.filter(
        pk=notification.pk, state=NotificationState.SENDING, attempts=notification.attempts
    )
