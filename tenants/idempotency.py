"""A write with an Idempotency-Key has one effect and one answer, however often it is sent.

The record is written in the transaction of the write itself, so that there is never an effect without its answer or an answer
without its effect. A request that is refused leaves no record: its key can be used again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from .models import IdempotencyRecord, Tenant
from .problems import FieldError, Invalid, ProblemError

LIFETIME = timedelta(hours=24)
"""How long an answer is kept."""
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_NAMESPACE = 7302  # of the advisory locks; 7301 is the audit chain's


@dataclass
class Attempt:
    """A write under its key. `answer` is set when an earlier one is to be sent again; else `keep` what this one answers."""

    record: IdempotencyRecord | None = None
    kept: tuple[int, bytes, dict[str, str]] | None = field(default=None)

    @property
    def answer(self) -> IdempotencyRecord | None:
        return self.record

    def keep(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """The answer that a retry shall get. It must not contain a secret."""
        self.kept = (status, body, headers)


def check_key(key: str) -> str:
    """The key when it is 1 to 255 visible ASCII characters; raises Invalid otherwise."""
    if not _KEY.fullmatch(key):
        raise Invalid(
            FieldError("Idempotency-Key", "invalid", "An Idempotency-Key is 1 to 255 visible ASCII characters.")
        )
    return key


def fingerprint(method: str, path: str, body: Any) -> str:
    """What makes two requests the same: method, path and the parsed body, whatever its layout."""
    text = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def once(principal: str, key: str, print_of_request: str, tenant: Tenant | None, now: datetime) -> Iterator[Attempt]:
    """Open the transaction in which the write and its answer are stored together. Keys belong to their principal.

    Raises ProblemError idempotency_in_progress while another request with this key runs, and idempotency_conflict when the key
    was used with another request in the last 24 hours.
    """
    with transaction.atomic():
        if not _lock(principal, key):
            raise ProblemError("idempotency_in_progress", retry_after=1)
        record = IdempotencyRecord.objects.filter(principal=principal, key=key).first()
        if record and record.created_at <= now - LIFETIME:
            record.delete()
            record = None
        if record and record.fingerprint != print_of_request:
            raise ProblemError("idempotency_conflict")
        attempt = Attempt(record)
        yield attempt
        if attempt.kept and record is None:
            status, body, headers = attempt.kept
            IdempotencyRecord.objects.create(
                tenant=tenant,
                principal=principal,
                key=key,
                fingerprint=print_of_request,
                status=status,
                body=body,
                headers=headers,
            )


def forget_old(now: datetime, limit: int = 10_000) -> int:
    """Delete at most `limit` answers that are older than 24 hours. Returns how many. For housekeeping."""
    old = IdempotencyRecord.objects.filter(created_at__lte=now - LIFETIME).order_by("created_at").values("pk")[:limit]
    return IdempotencyRecord.objects.filter(pk__in=old).delete()[0]


def _lock(principal: str, key: str) -> bool:
    number = int.from_bytes(hashlib.sha256(f"{principal}\n{key}".encode()).digest()[:4], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_NAMESPACE, number])
        return bool(cursor.fetchone()[0])
