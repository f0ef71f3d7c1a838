from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering.ledger.hours import BillingHours
from metering.models import UsageRollup
from tenants.models import Tenant


def test_it_prints_a_row_for_each(acme: Tenant, capsys: Any) -> None:
    hours, now = BillingHours(acme), timezone.now()
    UsageRollup.objects.bulk_create(
        UsageRollup(
            tenant=acme,
            meter="gpu_hours",
            hour=hours.start_of(now - timedelta(days=ago)),
            dims_key="-",
            quantity_micro=3600 * 10**6 * (10 + ago % 7),
            events=1,
        )
        for ago in range(100)
    )
    call_command("backtest_forecast", seeds=1, days=120)
    printed = capsys.readouterr().out
    for name in ("Cost", "GPU hours", "seasonal", "step", "wandering"):
        assert f"  {name} " in printed


def test_an_empty_database_is_said(db: None, capsys: Any) -> None:
    call_command("backtest_forecast", seeds=1)
    assert "none with a whole month" in capsys.readouterr().out


def test_no_seeds_are_refused(db: None) -> None:
    with pytest.raises(CommandError):
        call_command("backtest_forecast", seeds=0)
