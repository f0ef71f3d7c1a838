"""A simulated platform goes through ledger, rollups and rating, and comes out at the totals that plain arithmetic gives."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from metering.simulation import days, loading, plans
from tenants.models import Tenant

pytestmark = pytest.mark.django_db

UNTIL = "2026-05-04T07:00Z"
"""Three months back lie clock changes of both halves of the globe."""


def simulate(*words: str) -> str:
    out = io.StringIO()
    call_command("simulate", "--months", "3", "--until", UNTIL, *words, stdout=out, stderr=out)
    return out.getvalue()


def test_every_quantity_and_every_bill(tmp_path):
    told = simulate("--tenants", "8", "--truth", str(tmp_path / "truth.json"))
    assert "tenant months are what they should be" in told
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert len(truth) == Tenant.objects.filter(slug__startswith="sim-1-").count() == 8
    months = [month for tenant in truth.values() for month in tenant.values()]
    assert all(sum(month[meter] for month in months) > 0 for meter in ("api_calls", "gpu_hours", "storage_gb"))


def test_a_wrong_rollup_is_told():
    simulate("--tenants", "2")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE metering_usagerollup SET quantity_micro = quantity_micro + 1 WHERE (tenant_id, meter, hour, dims_key) IN "
            "(SELECT tenant_id, meter, hour, dims_key FROM metering_usagerollup WHERE meter = 'api_calls' LIMIT 1)"
        )
    with pytest.raises(CommandError, match="1 differences"):
        simulate("--tenants", "2")


def test_more_tenants_can_be_added_later():
    first = simulate("--tenants", "2")
    assert "3/3 tenants" in simulate("--tenants", "3")
    assert "2/2 tenants" in first
    assert Tenant.objects.filter(slug__startswith="sim-1-").count() == 3


def test_some_events_come_twice_and_some_are_corrected():
    until = datetime(2026, 5, 4, tzinfo=UTC)
    past = days.every_day(datetime(2025, 5, 4, tzinfo=UTC).date(), until.date())
    plan = plans.make(1, 0, past[0], past[-1])
    held = [each for day in past for each in days.day_of(plan, day, until).held]
    assert any(each.twice for each in held)
    assert any(each.milliseconds != each.billed_first for each in held)


def test_a_tenants_past_is_not_written_twice():
    simulate("--tenants", "1")
    past = days.every_day(datetime(2026, 4, 1, tzinfo=UTC).date(), datetime(2026, 4, 2, tzinfo=UTC).date())
    with pytest.raises(loading.AlreadySimulatedError):
        loading.load(plans.make(1, 0, past[0], past[-1]), past, datetime(2026, 5, 4, 7, tzinfo=UTC))


def test_not_in_production(settings):
    settings.PORTAL_ENV = "production"
    with pytest.raises(CommandError, match="no place in production"):
        simulate()
