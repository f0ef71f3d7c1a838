"""Fills the benchmark's database, and scrapes it."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from decimal import Decimal


def fill(tenants: int) -> str:
    """So many tenants with usage and budgets; the text of a key of the first."""
    from django.utils import timezone

    from metering import budgets
    from metering.ledger import ingestion, rollups
    from tenants.credentials import apikeys
    from tenants.models import Tenant, Tier

    now = timezone.now()
    tier = Tier.objects.get(slug="standard")
    tier.rate_limits.update(limit=None)  # what is measured is not how fast we refuse
    for number in range(tenants):
        Tenant.objects.create(slug=f"tenant-{number}", name=f"Tenant {number}", tier=tier)
    found = list(Tenant.objects.filter(slug__startswith="tenant-").order_by("pk"))
    for tenant in found:
        events = [
            {"source": "/bench", "id": f"{kind}-{hour}", "type": kind, "time": now - timedelta(hours=hour),
             "data": {"quantity": "7", **({"model": "H100"} if kind == "gpu_hours" else {})}}
            for kind in ("api_calls", "gpu_hours") for hour in (0, 1)
        ]  # fmt: skip
        ingestion.book(tenant, events, now)
        budgets.set_budget(tenant, Decimal(100), [80, 100], "system:bench")
    while rollups.run(timezone.now()):
        pass
    issued = apikeys.create(found[0], name="Bench", scopes=apikeys.PRESETS["admin"], by=None, actor="system:bench")
    return issued.text


def scrape() -> dict[str, float]:
    """Seconds to make the page, to get it again, and the slowest of 200 scrapes at once when it is too old."""
    from portal.telemetry import business

    page = business.BusinessPage()
    started = time.perf_counter()
    body = page.get().body
    made = time.perf_counter() - started
    started = time.perf_counter()
    page.get()
    kept = time.perf_counter() - started
    business.RENEW_SECONDS = 0.0
    took: list[float] = []

    def one() -> None:
        begun = time.perf_counter()
        page.get()
        took.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=one) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"made": made, "kept": kept, "storm": max(took), "bytes": len(body)}
