from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DataError, IntegrityError, transaction

from metering.billing import closing
from metering.models import Invoice, LegalEntity
from portal import env
from tenants.models import Tenant

from .conftest import Use

END = datetime(2026, 8, 1, tzinfo=UTC)


def outcome(at: datetime) -> str:
    (closed,) = closing.close("2026-07", at)
    return closed.outcome


def test_an_entity_may_wait_longer_or_not_at_all(acme: Tenant, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    LegalEntity.objects.update(grace_hours=72)
    assert outcome(END + timedelta(hours=71)) == "drafted"
    assert Invoice.objects.get().issue_after == END + timedelta(hours=72)
    LegalEntity.objects.update(grace_hours=48)
    assert outcome(END + timedelta(hours=50)) == "issued"


def test_no_grace_is_a_grace_of_zero(acme: Tenant, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    LegalEntity.objects.update(grace_hours=0)
    assert outcome(END) == "issued"


@pytest.mark.parametrize("hours", [-1, 24 * 35 + 1, 10**9])
def test_hours_that_make_no_sense_are_refused(db: None, hours: int) -> None:
    entity = LegalEntity.objects.get(is_default=True)
    entity.grace_hours = hours
    with pytest.raises(ValidationError):
        entity.full_clean()
    with pytest.raises((IntegrityError, DataError)), transaction.atomic():
        LegalEntity.objects.update(grace_hours=hours)


@pytest.mark.parametrize("text", ["NaN", "-1", "1e3", "24.5", "inf", "10000", ""])
def test_a_setting_that_makes_no_sense_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("INVOICE_GRACE_HOURS", text)
    with pytest.raises(ImproperlyConfigured):
        env.integer("INVOICE_GRACE_HOURS", 24, minimum=0, maximum=24 * 35)
