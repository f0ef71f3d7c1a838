"""Who is acting, and why: the context that the audit triggers write beside every change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def acting(actor: str, reason: str = "") -> Iterator[None]:
    """Open a transaction in which every audited change is attributed to `actor` ("user:alice", "token:ci", "system:rollup").

    Nested calls replace actor and reason for their own block only. Without it, entries read "db:<database role>".
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.actor', true), current_setting('app.reason', true)")
        before = cursor.fetchone()
        _set(cursor, actor[:160], reason[:300])
        yield
        _set(cursor, before[0] or "", before[1] or "")


def user_actor(user: object) -> str:
    """The actor text of a signed-in user."""
    return f"user:{getattr(user, 'username', '') or 'anonymous'}"


def _set(cursor: object, actor: str, reason: str) -> None:
    cursor.execute("SELECT set_config('app.actor', %s, true), set_config('app.reason', %s, true)", [actor, reason])  # type: ignore[attr-defined]
