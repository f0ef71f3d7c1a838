"""The tier of every tenant, for spans: remembered, renewed in the background, never waited for."""

from __future__ import annotations

import threading
import time

from django.db import DatabaseError, connections

from tenants.models import Tenant, TenantState

RENEW_SECONDS = 60.0


class Tiers:
    """Call it with a slug; "" when not known (yet)."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._until = float("-inf")
        self._renewing = threading.Lock()

    def __call__(self, slug: str) -> str:
        if time.monotonic() >= self._until and self._renewing.acquire(blocking=False):
            self._until = time.monotonic() + RENEW_SECONDS
            threading.Thread(target=self._renew, name="tiers", daemon=True).start()
        return self._known.get(slug, "")

    def _renew(self) -> None:
        try:
            self._known = read()
        except DatabaseError:
            return  # the old names serve until the database is back
        finally:
            connections.close_all()
            self._renewing.release()


def read() -> dict[str, str]:
    """Slug of every open tenant → slug of its tier."""
    rows = Tenant.objects.exclude(state=TenantState.CLOSED).values_list("slug", "tier__slug")
    return dict(rows.order_by())
