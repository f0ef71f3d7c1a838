"""The stages of `bench.platform_year`, inside Django: one process each, over the database that the first one fills."""

from __future__ import annotations

import io
import json
import os
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

PASSWORD_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
TENANT_PAGES = {"overview": "", "usage": "usage", "usage, 1 year by month": "usage?range=12m&granularity=month", "costs": "costs",
                "invoices": "invoices"}  # fmt: skip
OPERATORS_PAGES = {"operators' front page": "/admin/", "operators' costs": "/admin/tenants/tenant/costs/"}


def simulate(seed: int, tenants: int, months: int, until: str, workers: int, truth: str) -> dict[str, Any]:
    """Simulate, roll up and check; what it took, and how many differences there are."""
    from django.core.management import CommandError, call_command
    from django.db import connection

    from metering.simulation import checking  # noqa: F401  (imported before the clock starts)

    out, began, (python, postgres), differences = io.StringIO(), time.perf_counter(), _cpu(), 0
    words = [
        "--seed",
        seed,
        "--tenants",
        tenants,
        "--months",
        months,
        "--until",
        until,
        "--workers",
        workers,
        "--truth",
        truth,
    ]
    try:
        call_command("simulate", *map(str, words), stdout=_Progress(), stderr=out)
    except CommandError as error:
        differences = int(str(error).partition(" ")[0].replace(",", ""))
    seconds, (python_after, postgres_after) = time.perf_counter() - began, _cpu()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")  # what autovacuum would come to by and by
        cursor.execute(
            "SELECT (SELECT count(*) FROM metering_usageevent) + (SELECT count(*) FROM metering_callcounter),"
            " (SELECT count(*) FROM metering_usagerollup), pg_database_size(current_database())"
        )
        rows, rollups, size = cursor.fetchone()
    return {
        "seconds": seconds, "python_cpu": python_after - python, "cpu": python_after - python + postgres_after - postgres, "rows": rows,
        "rollups": rollups, "gib": size / 2**30, "differences": differences,
        "tenant_months": sum(map(len, json.loads(Path(truth).read_text()).values())),
    }  # fmt: skip


def forecast(seed: int, tenants: int, months: int, until: str, last: int, workers: int) -> dict[str, Any]:
    """The product's forecasts of the last months, made in their past; by what is forecast and by the shape of the time, how good they were."""
    from metering.management.commands.simulate import MONTH
    from metering.simulation import hindsight, running

    end = datetime.fromisoformat(until)
    platform = running.Platform(seed, tenants, (end - MONTH * months).date(), end)
    before, groups, made = sum(_cpu()), defaultdict(list), set()
    for some in hindsight.look_back(platform, hindsight.last_months(platform, last), range(tenants), workers=workers):
        for each in some:
            made.add((each.slug, each.month, each.stand))
            for shape in ("all", each.shape):
                groups[each.what, shape].append(each)
    return {
        "scores": [hindsight.score(what, shape, some)._asdict() for (what, shape), some in sorted(groups.items())],
        "made": len(made), "tenant_months": len({each[:2] for each in made}), "cpu": sum(_cpu()) - before,
    }  # fmt: skip


def close(truth: str) -> dict[str, Any]:
    """Draft and issue every month that has ended for all tenants, oldest first, in this process; each invoice beside its truth."""
    from metering.billing import closing
    from metering.models import Invoice, InvoiceState
    from tenants import calendar
    from tenants.models import BillingPeriod, Tenant

    due = {
        slug: {month: each["whole_month_usd"] for month, each in months.items()}
        for slug, months in json.loads(Path(truth).read_text()).items()
    }
    outcomes: Counter[str] = Counter()
    found = []
    for month in _ended(calendar, sorted({month for months in due.values() for month in months})):
        ends = calendar.month_bounds("Pacific/Pago_Pago", month)[1]
        began, before = time.perf_counter(), sum(_cpu())
        for hours in (1, 49):
            outcomes.update(closed.outcome for closed in closing.close(month, ends + timedelta(hours=hours)))
        found.append({"month": month, "seconds": time.perf_counter() - began, "cpu": sum(_cpu()) - before})
    billed: dict[tuple[str, str], str] = {}
    issued = Invoice.objects.filter(state=InvoiceState.ISSUED).order_by()
    for slug, month, subtotal in issued.values_list("tenant__slug", "period__key", "subtotal"):
        billed[slug, month] = f"{subtotal:.2f}"
    months = [each["month"] for each in found]
    wrong = [
        f"{slug} {month}: {billed.get((slug, month), '0.00')} billed, {amount} true"
        for slug, its in due.items() for month, amount in its.items()
        if month in months and billed.get((slug, month), "0.00") != amount
    ]  # fmt: skip
    return {
        "tenants": Tenant.objects.count(), "months": found, "invoices": len(billed), "wrong": wrong, "outcomes": dict(outcomes),
        "periods": BillingPeriod.objects.count(), "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def look(views: int) -> dict[str, dict[str, Any]]:
    """Milliseconds of each page, each view of another tenant, spread over all of them; CPU and statements of a view. And operators' pages."""
    from django.test import Client

    from tenants.models import Membership, Role, Tenant, User

    owner = User.objects.create_user("owner", "owner@bench.example")
    operator = User.objects.create_superuser("operator", "operator@bench.example")
    every = list(Tenant.objects.order_by("pk"))
    chosen = every[:: max(1, len(every) // (views + 1))][: views + 1]
    Membership.objects.bulk_create(Membership(tenant=each, user=owner, role=Role.OWNER) for each in chosen)
    browser, desk = Client(), Client()
    browser.force_login(owner, backend=PASSWORD_BACKEND)
    desk.force_login(operator, backend=PASSWORD_BACKEND)
    found = {}
    for name, path in TENANT_PAGES.items():
        found[name] = {"of": "tenant"} | _times(browser, [f"/t/{tenant.slug}/{path}" for tenant in chosen])
    for name, path in OPERATORS_PAGES.items():
        found[name] = {"of": "operator"} | _times(desk, [path] * max(3, views // 10))
    return found


def _times(browser: Any, urls: Sequence[str]) -> dict[str, Any]:
    """All but the first, which loads templates."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    took, statements = [], 0
    _get(browser, urls[0])
    before = sum(_cpu())
    for url in urls[1:]:
        began = time.perf_counter()
        _get(browser, url)
        took.append((time.perf_counter() - began) * 1000)
    cpu = (sum(_cpu()) - before) * 1000 / len(took)
    with CaptureQueriesContext(connection) as captured:
        _get(browser, urls[-1])
        statements = len(captured)
    return {"ms": took, "cpu_ms": cpu, "statements": statements}


def _get(browser: Any, url: str) -> None:
    answer = browser.get(url)
    if answer.status_code != 200:
        raise RuntimeError(f"{url} answered {answer.status_code}")


def _ended(calendar: Any, months: Sequence[str]) -> list[str]:
    from django.utils import timezone

    return [
        month
        for month in months
        if calendar.month_bounds("Pacific/Pago_Pago", month)[1] + timedelta(hours=49) <= timezone.now()
    ]


class _Progress(io.TextIOBase):
    """Says on standard error what the command says, so that a run of many minutes can be watched."""

    def write(self, text: str) -> int:
        import sys

        return sys.stderr.write(text and f"    {text.lstrip()}" if text.strip() else text)


def _cpu() -> tuple[float, float]:
    """CPU seconds of this process and the ended ones that it started, and of all of PostgreSQL, ended sessions included."""
    import psutil
    from django.db import connection

    mine = os.times()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0]).parent()
    spent = 0.0
    for process in (server, *server.children()):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system + times.children_user + times.children_system
    return mine.user + mine.system + mine.children_user + mine.children_system, spent
