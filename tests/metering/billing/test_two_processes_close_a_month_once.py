"""Real processes on a real database: portions are shared out, and two closings at once make one invoice for each tenant."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from metering.billing.issuing import broken
from metering.ledger import ingestion, rollups
from metering.models import Invoice, InvoiceState, LegalEntity, OwedAnnouncement
from tenants import calendar
from tenants.models import Tenant, Tier
from tests.metering.events import event

ROOT = Path(__file__).resolve().parents[3]
TENANTS = 12
LAST = calendar.previous_month(calendar.month_key("UTC", timezone.now()))


@pytest.mark.django_db(transaction=True)
def test_two_commands_at_once_invoice_every_tenant_once(server_environment: dict[str, str]) -> None:
    LegalEntity.objects.update(grace_hours=0)
    at = calendar.month_bounds("UTC", LAST)[1] - timedelta(hours=3)
    tier = Tier.objects.get(slug="standard")
    for number in range(TENANTS):
        tenant = Tenant.objects.create(slug=f"t{number}", name=f"T{number}", tier=tier)
        ingestion.book(tenant, [event(f"e{number}", at, "10", "gpu_hours", model="H100")], at)
    rollups.run(at)
    command = [sys.executable, "manage.py", "close_month", LAST, "--workers", "2"]
    run = [
        subprocess.Popen(command, cwd=ROOT, env=server_environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]  # fmt: skip
    said = [each.communicate(timeout=120)[0] for each in run]
    assert [each.returncode for each in run] == [0, 0], said
    assert Invoice.objects.filter(state=InvoiceState.ISSUED).count() == TENANTS, said
    sequence = Invoice.objects.order_by("sequence").values_list("sequence", flat=True)
    assert list(sequence) == list(range(1, TENANTS + 1))
    assert OwedAnnouncement.objects.count() == TENANTS
    assert list(broken(LegalEntity.objects.get(is_default=True))) == []

    again = subprocess.run(command, cwd=ROOT, env=server_environment, capture_output=True, text=True, check=True)
    assert f"{TENANTS} already issued" in again.stdout
