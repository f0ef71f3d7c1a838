"""What the portal runs on: settings, PostgreSQL, both Redis, the broker, worker, beat, collectors, and the mail server."""

from __future__ import annotations

import secrets
from datetime import timedelta
from email.utils import make_msgid

from django.conf import settings
from django.core import checks
from django.core.cache import cache
from django.core.mail import EmailMessage, get_connection
from django.core.validators import validate_email
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from metering.event_store import floor, schema, store
from metering.event_store.clickhouse import ClickHouseStore
from metering.models import CollectorState, CollectorStatus, Notification, NotificationState, UsageEvent
from portal.celery import app
from portal.doctor import Finding, broken, ok, unset
from tenants import enforcement
from tenants.database import replica

TIME_LIMITS = ["idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout"]
LATE = timedelta(minutes=10)
"""Beat writes its notes every three minutes at the latest; a mail waits for the next ten seconds."""


def told_settings() -> Finding:
    """What `manage.py check --deploy` says."""
    found = checks.run_checks(include_deployment_checks=settings.PORTAL_ENV == "production")
    errors = [each for each in found if each.level >= checks.ERROR]
    advice = [each for each in found if checks.WARNING <= each.level < checks.ERROR]
    if errors:
        return broken(
            "; ".join(f"{each.id}: {each.msg}" for each in errors), str(errors[0].hint or "See check --deploy.")
        )
    text = f"{settings.PORTAL_ENV}, version {settings.VERSION}"
    return ok(text + (f"; advice in {', '.join(str(each.id) for each in advice)} (check --deploy)" if advice else ""))


def database() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        version, above_rows = cursor.fetchone()
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        return broken(f"{len(waiting)} migrations wait, first {waiting[0][0]}", "Run manage.py migrate.")
    if above_rows:
        return broken(
            "the login role is above row security", "Connect as a role that is no superuser and has no BYPASSRLS."
        )
    if endless := _endless():
        return broken(
            f"behind the pooler nothing limits {', '.join(endless)}",
            "Give the limits to the role: ALTER ROLE … SET statement_timeout = '30s' and so on (docs/operations.md, PostgreSQL).",
        )
    return ok(f"PostgreSQL {version}, migrations applied, row security in force")


def _endless() -> list[str]:
    """The time limits that no session has: behind a pooler in transaction mode only the role can have them."""
    if settings.DATABASE_POOLER != "transaction":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0' ORDER BY 1", [TIME_LIMITS])
        return [name for (name,) in cursor.fetchall()]


def ledger() -> Finding:
    """Where usage events are kept, and whether it takes them."""
    if settings.EVENT_STORE != "clickhouse":
        return ok("in PostgreSQL")
    kept = store()
    assert isinstance(kept, ClickHouseStore)  # noqa: S101
    version = kept.client.rows("SELECT version()")[0][0]
    if not schema.is_there(kept.client):
        return broken(f"ClickHouse {version} has no tables of ours", "Run `manage.py event_store setup`.")
    waiting, since = kept.backlog()
    if since is not None and timezone.now() - since > LATE:
        return broken(
            f"{waiting:,} events wait in PostgreSQL since {since:%Y-%m-%d %H:%M} UTC",
            "See worker and beat: the task settle_events moves them.",
        )
    left = UsageEvent.objects.exists()
    if left and not kept.months():
        return broken(
            "PostgreSQL holds a ledger and ClickHouse none", "Run `manage.py event_store copy` (docs/operations.md)."
        )
    return ok(f"ClickHouse {version} at {kept.client.where()}; {waiting:,} events on their way there")


def old_months() -> Finding:
    """Whether months of the ledger that are past their time could go."""
    if not settings.LEDGER_KEEP_MONTHS:
        return unset("the ledger is kept for ever", "Set LEDGER_KEEP_MONTHS when its disk fills (docs/operations.md).")
    if held := floor.held_back():
        month, reason = min(held.items())
        more = f", and {len(held) - 1} more" if len(held) > 1 else ""
        return broken(
            f"{month[:4]}-{month[4:]} cannot go: {reason}{more}",
            "Issue or void those invoices, or see why rollups wait; later months go meanwhile, this one with the next hour.",
        )
    kept_since = floor.since()
    since = f", now since {kept_since:%Y-%m}" if kept_since else ""
    return ok(f"{settings.LEDGER_KEEP_MONTHS} are kept{since}")


def read_replica() -> Finding:
    if not replica.configured():
        return unset("none", "Set DATABASE_REPLICA_URL when reports slow the primary down (docs/operations.md).")
    behind = replica.behind()
    if behind is None or behind.total_seconds() > settings.DATABASE_REPLICA_MAX_LAG_SECONDS:
        text = "it has never heard of a beat" if behind is None else f"it is {behind.total_seconds():.0f} s behind"
        return broken(
            text, "Look at its replication, and at worker and beat; until then reports read from the primary."
        )
    return ok(f"answers, at most {max(0.0, behind.total_seconds()):.0f} s behind")


def quota_redis() -> Finding:
    if wrong := enforcement.readiness():
        return broken(wrong, "See ENFORCEMENT_REDIS_URL; meanwhile ENFORCEMENT_FAILURE_POLICY decides.")
    if away := enforcement.away():
        return broken(
            f"a part of the cluster is away: {'; '.join(away)}",
            "Start that master or promote its replica (redis-cli --cluster check); ENFORCEMENT_FAILURE_POLICY decides for its tenants, and for nobody else.",
        )
    return ok("answers, and evicts nothing")


def cache_redis() -> Finding:
    key, value = f"doctor:{secrets.token_hex(8)}", secrets.token_hex(8)
    cache.set(key, value, 10)
    if cache.get(key) != value:
        return broken("what was put in did not come out", "See CACHE_REDIS_URL.")
    cache.delete(key)
    return ok("takes and gives")


def broker() -> Finding:
    with app.connection_for_read() as channel:
        try:
            channel.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        except Exception as error:
            return broken(f"no connection: {error}"[:200], "See CELERY_BROKER_URL, and whether that Redis runs.")
        waiting = channel.default_channel.client.llen(app.conf.task_default_queue)
    if waiting > 1_000:
        return broken(
            f"{waiting:,} tasks wait",
            "Start more workers, or look at what the running ones do (runbook QueueDepthHigh).",
        )
    return ok(f"answers; {waiting} tasks wait")


def worker() -> Finding:
    answers = app.control.ping(timeout=3)
    if not answers:
        return broken(
            "no worker answers", "Start `celery --app portal worker`; nothing is booked, sent or invoiced without one."
        )
    names = sorted(name for answer in answers for name in answer)
    return ok(f"{len(names)} alive: {', '.join(names[:5])}")


def beat() -> Finding:
    last = (
        PeriodicTask.objects.exclude(last_run_at=None)
        .order_by("-last_run_at")
        .values_list("last_run_at", flat=True)
        .first()
    )
    mend = "Start `celery --app portal beat`; without it no periodic work begins."
    if last is None:
        return broken("it has never run", mend)
    age = timezone.now() - last
    return (
        ok(f"last note {age.seconds} s ago") if age < LATE else broken(f"silent since {last:%Y-%m-%d %H:%M} UTC", mend)
    )


def collectors() -> Finding:
    if not settings.COLLECTORS and not CollectorStatus.objects.exists():
        return unset(
            "none", "List them in COLLECTORS (docs/collectors.md); without them GPUs and storage are not measured here."
        )
    now = timezone.now()
    rows = list(CollectorStatus.objects.defer("memory", "readings"))
    bad = [f"{row.name} on {row.node}: {row.get_state_display()}" for row in rows if row.state != CollectorState.OK]
    bad += [
        f"{row.name} on {row.node}: silent since {row.last_run_at:%Y-%m-%d %H:%M} UTC"
        for row in rows
        if row.state == CollectorState.OK and now - row.last_run_at > timedelta(seconds=3 * row.interval_seconds)
    ]
    ran = {row.name for row in rows}
    bad += [f"{each['name']}: has never run" for each in settings.COLLECTORS if each["name"] not in ran]
    if bad:
        return broken("; ".join(bad), "Admin → Collector statuses has each reason (runbook CollectorDown).")
    return ok(f"{len(rows)} fresh")


def mail(address: str = "") -> Finding:
    """Whether the server takes our login; with an address, whether it takes a message for it."""
    late = Notification.objects.filter(state=NotificationState.PENDING, created_at__lt=timezone.now() - LATE).count()
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    mend = "See EMAIL_URL and DEFAULT_FROM_EMAIL; mails that are owed are kept and sent later."
    try:
        with get_connection(timeout=8) as outlet:
            if address:
                validate_email(address)
                subject, identity = "Test of the portal's e-mail", make_msgid(domain="doctor.invalid")
                text = f"Sent by `manage.py doctor` of {settings.SITE_URL}. If you read this, mail leaves.\n"
                EmailMessage(subject, text, to=[address], headers={"Message-ID": identity}, connection=outlet).send()
    except Exception as error:
        return broken(f"{server}: {error}"[:200], mend)
    if late:
        return broken(
            f"{server} answers, but {late} mails wait for over 10 minutes",
            "See worker and beat, and admin → Notifications.",
        )
    if not address:
        return ok(f"{server} answers; nothing was sent (--mail-to ADDRESS sends a test)")
    return ok(f"{server} took a test for {address}")
