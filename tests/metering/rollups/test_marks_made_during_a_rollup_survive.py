from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from metering.ledger import ingestion, rollups
from metering.models import DirtyHour, UsageRollup
from tests.metering.events import event

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_thread(work):
    def run():
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(timeout=20)


@pytest.mark.parametrize("when", ["before the sum", "after the sum"])
def test_events_that_come_in_meanwhile_are_not_kept_waiting_and_not_forgotten(acme, now, monkeypatch, when):
    ingestion.book(acme, [event("a", now, 1)], now)
    sum_up, calls = rollups._sum_up, []

    def book_meanwhile():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 2000")
        return ingestion.book(acme, [event("b", now, 2)], now)

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 1 and when == "before the sum":
            in_a_thread(book_meanwhile)
        sum_up(*arguments)
        if len(calls) == 1 and when == "after the sum":
            in_a_thread(book_meanwhile)

    monkeypatch.setattr(rollups, "_sum_up", interrupted)
    rollups.run(now)
    assert DirtyHour.objects.count() == 1

    rollups.run(now)
    assert UsageRollup.objects.get().quantity_micro == 3_000_000
    assert not DirtyHour.objects.exists()


def test_workers_at_once_and_senders_at_once_agree_with_the_ledger(acme, globex, now):
    stop = threading.Event()

    def work(_):
        while not stop.is_set():
            rollups.run(now)
        connection.close()

    def send(sender):
        for number in range(30):
            tenant = acme if number % 2 else globex
            ingestion.book(tenant, [event(f"{sender}-{number}", now - timedelta(minutes=number), 1)], now)
        connection.close()

    with ThreadPoolExecutor(5) as pool:
        workers = [pool.submit(work, each) for each in range(2)]
        for sender in [pool.submit(send, each) for each in range(3)]:
            sender.result(timeout=60)
        stop.set()
        for worker in workers:
            worker.result(timeout=60)
    rollups.run(now)

    assert sum(UsageRollup.objects.values_list("quantity_micro", flat=True)) == 90 * 10**6
    assert not DirtyHour.objects.exists()


DYING = """
import os, signal, sys, django
django.setup()
from datetime import datetime
from metering.ledger import rollups
step, now = sys.argv[1], datetime.fromisoformat(sys.argv[2])
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
original = getattr(rollups, step)
def then_die(*arguments, **named):
    original(*arguments, **named)
    die()
setattr(rollups, step, then_die)
rollups.run(now)
"""


@pytest.mark.parametrize("step", ["carry_levels", "_sum_up", "_roll_up"])
def test_killed_at_any_step_the_next_run_does_it_all(acme, now, server_environment, step):
    ingestion.book(acme, [event("a", now, 1), event("b", now, 5, type="storage_gb")], now)

    killed = subprocess.run([sys.executable, "-c", DYING, step, now.isoformat()], env=server_environment, check=False)
    assert killed.returncode == -9
    assert DirtyHour.objects.count() == 2

    rollups.run(now)
    assert UsageRollup.objects.count() == 2
    assert not DirtyHour.objects.exists()
