"""A table or JSON, in which whatever is not well says what to do; the exit status tells machines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from metering.event_store import floor
from metering.models import CollectorState, CollectorStatus
from portal.doctor import State, asking, ok, parts, watchers
from portal.management.commands.doctor import every_check


def run(*words: str, **options: object) -> tuple[int, str]:
    """(exit status, output)"""
    out, status = StringIO(), 0
    try:
        call_command("doctor", only=list(words), stdout=out, no_color=True, **options)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, out.getvalue()


def test_what_is_not_set_is_no_fault(settings):
    status, table = run("exporters", "rules", "panels", "Alertmanager", "Grafana", "traces")
    assert status == 0
    assert table.count("not configured") == 6
    assert "→ Set it, e.g. http://prometheus:9090/prometheus" in table


def test_what_cannot_be_reached_is_one(settings):
    settings.PROMETHEUS_URL = "http://somebody:s3cret-word@127.0.0.1:9/prometheus"
    status, text = run("exporters", json=True)
    (found,) = json.loads(text)
    assert status == 1
    assert (found["check"], found["state"]) == ("exporters", "broken")
    assert "127.0.0.1:9/prometheus cannot be reached" in found["text"]
    assert "PROMETHEUS_URL" in found["mend"]
    assert "s3cret-word" not in text


@pytest.mark.django_db(transaction=True)
def test_what_the_portal_stands_on_is_asked(redis_server):
    found = {
        each["check"]: each for each in json.loads(run("database", "quota Redis", "cache", "broker", json=True)[1])
    }
    assert {name: each["state"] for name, each in found.items()} == dict.fromkeys(found, "ok")
    assert "row security in force" in found["database"]["text"]
    redis_server.pause()
    (paused,) = json.loads(run("quota Redis", json=True)[1])
    assert paused["state"] == "broken"
    assert "ENFORCEMENT_REDIS_URL" in paused["mend"]


@pytest.mark.django_db
def test_a_pooler_without_time_limits(settings):
    settings.DATABASE_POOLER = "transaction"
    with connection.cursor() as cursor:
        for name in parts.TIME_LIMITS:
            cursor.execute(f"SET LOCAL {name} = '30s'")
        assert parts.database().state == State.OK
        cursor.execute("SET LOCAL statement_timeout = 0")
    found = parts.database()
    assert found.state == State.BROKEN
    assert "nothing limits statement_timeout" in found.text
    assert "ALTER ROLE" in found.mend
    settings.DATABASE_POOLER = "none"
    assert parts.database().state == State.OK


@pytest.mark.django_db
def test_months_of_the_ledger_that_cannot_go(settings):
    settings.LEDGER_KEEP_MONTHS = 0
    assert parts.old_months().state is State.NOT_CONFIGURED
    settings.LEDGER_KEEP_MONTHS = 6
    assert parts.old_months() == ok("6 are kept")
    reason = "2 invoices of its time are not issued yet"
    floor.hold_back({"202603": "7 hours of it wait to be rolled up", "202602": reason}, timezone.now())
    found = parts.old_months()
    assert (found.state, found.text) == (State.BROKEN, f"2026-02 cannot go: {reason}, and 1 more")
    floor.hold_back({}, timezone.now())
    floor.remove(datetime(2026, 3, 1, tzinfo=UTC), timezone.now(), older_wait=False)
    assert parts.old_months() == ok("6 are kept, now since 2026-04")


@pytest.mark.django_db
def test_a_beat_that_is_silent():
    PeriodicTask.objects.update(last_run_at=None)
    assert parts.beat().text == "it has never run"
    every = IntervalSchedule.objects.create(every=5, period="seconds")
    job = PeriodicTask.objects.create(name="any", task="any", interval=every, last_run_at=timezone.now())
    assert parts.beat().state is State.OK
    job.last_run_at = timezone.now() - timedelta(hours=1)
    job.save()
    assert "silent since" in parts.beat().text


@pytest.mark.django_db
def test_collectors_that_are_late_failing_or_never_ran(settings):
    settings.COLLECTORS = []
    assert parts.collectors().state is State.NOT_CONFIGURED
    now = timezone.now()
    row = CollectorStatus.objects.create(
        name="gpus", node="n1", kind="nvml", state=CollectorState.OK, last_run_at=now, interval_seconds=30
    )
    assert parts.collectors().state is State.OK
    settings.COLLECTORS = [{"name": "gpus"}, {"name": "volumes"}]
    assert parts.collectors().text == "volumes: has never run"
    settings.COLLECTORS = []
    row.last_run_at = now - timedelta(minutes=2)
    row.save()
    assert "gpus on n1: silent since" in parts.collectors().text
    row.state = CollectorState.UNAVAILABLE
    row.save()
    assert parts.collectors().state is State.BROKEN


@pytest.mark.django_db
def test_mail_is_sent_to_one_good_address_only(mailoutbox):
    assert parts.mail("sre@example.org").state is State.OK
    assert [mail.to for mail in mailoutbox] == [["sre@example.org"]]
    assert parts.mail("a@example.org, b@example.org").state is State.BROKEN
    assert len(mailoutbox) == 1


def test_every_shipped_query_is_asked_with_nothing_of_grafana_left_in_it():
    queries = list(watchers.shipped_panels())
    assert len({each.where for each in queries}) >= 56
    assert not [each for each in queries if "$" in each.expr]


@pytest.mark.parametrize(("engine", "state"), [("postgresql", State.OK), ("clickhouse", State.BROKEN)])
def test_series_of_clickhouse_are_missed_only_where_it_has_the_ledger(settings, monkeypatch, engine, state):
    settings.EVENT_STORE, settings.PROMETHEUS_URL = engine, "http://prometheus.example"

    def answer(path, query=None):
        is_missing = query is not None and "portal_event_store_" in query["query"]
        return ["up"] if query is None else {"result": [] if is_missing else [1]}

    monkeypatch.setattr(watchers, "_data", answer)
    found = watchers.panels()
    assert found.state is state
    assert ("portal_event_store_" in found.text) == (state is State.BROKEN)


def test_each_check_has_a_name_of_its_own_and_a_deadline():
    checks = every_check()
    assert len({each.name for each in checks}) == len(checks) == 18
    assert max(each.seconds for each in checks) <= 45


def test_an_address_is_shown_without_its_password():
    assert asking.shown("https://me:word@host:9090/p") == "https://host:9090/p"
    with pytest.raises(asking.Unanswered, match="no http address"):
        asking.get("file:///etc", "/passwd")
