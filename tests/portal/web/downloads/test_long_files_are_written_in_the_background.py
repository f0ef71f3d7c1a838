from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from metering.files import exporting
from metering.models import Export, ExportPart, ExportState, Notification, UsageEvent
from tenants.credentials import apikeys
from tests.portal.web.conftest import Cast, text_of

FORM = {"kind": "events", "first": "2026-07-01", "last": "2026-07-31"}


@pytest.fixture
def events(cast: Cast) -> None:
    for number, tenant in ((1, cast.acme), (2, cast.acme), (3, cast.globex)):
        UsageEvent.objects.create(
            tenant=tenant, time=datetime(2026, 7, number, 12, tzinfo=UTC), id=number, meter="gpu_hours", source="=ml",
            event_id=f"e{number}", quantity_micro=Decimal(1), dims={"model": "H100"},
        )  # fmt: skip


def written(cast: Cast, browse: Callable[[str], Client], **changes: str) -> Export:
    browse("ada").post("/t/acme/downloads", FORM | changes)
    exporting.work_queue(timezone.now())
    return Export.objects.get()


def rows_of(client: Client, export: Export) -> list[list[str]]:
    answer = client.get(f"/t/acme/downloads/{export.public_id}/file")
    assert answer.status_code == 200
    return list(csv.reader(io.StringIO(gzip.decompress(answer.content).decode())))


def test_the_file_has_the_tenants_events_and_the_asker_gets_a_mail(
    cast: Cast, browse: Callable[[str], Client], events: None
) -> None:
    export = written(cast, browse)
    header, *rows = rows_of(browse("alice"), export)
    assert header == exporting.HEADERS["events"]
    assert [row[4] for row in rows] == ["e1", "e2"]
    assert rows[0][3] == "'=ml", "no cell is a formula"
    assert (export.state, export.rows, export.rows_expected) == (ExportState.DONE, 2, 2)
    mail = Notification.objects.get(kind="export-ready")
    assert mail.recipient == "ada@acme.example"
    assert "/t/acme/downloads" in mail.text


def test_days_are_those_of_the_tenants_zone(cast: Cast, browse: Callable[[str], Client], events: None) -> None:
    UsageEvent.objects.create(
        tenant=cast.acme,
        time=datetime(2026, 7, 31, 22, 30, tzinfo=UTC),
        id=4,
        meter="gpu_hours",
        source="ml",
        event_id="e4",
        quantity_micro=Decimal(1),
        dims={},
    )  # fmt: skip  (August in Zürich)
    assert written(cast, browse).rows == 2


def test_many_rows_are_pieces_of_one_file(
    cast: Cast, browse: Callable[[str], Client], events: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", 1)
    export = written(cast, browse)
    assert ExportPart.objects.filter(export=export).count() == 2
    assert len(rows_of(browse("ada"), export)) == 3


def test_the_trail_shows_no_fingerprints(cast: Cast, browse: Callable[[str], Client]) -> None:
    issued = apikeys.create(cast.acme, name="Nightly", scopes=["decide"], by=None, actor="operator:olivia")
    today = timezone.now().date()
    days = {"first": str(today - timedelta(days=1)), "last": str(today + timedelta(days=1))}
    text = str(rows_of(browse("ada"), written(cast, browse, kind="trail", **days)))
    assert "Nightly" in text
    assert "operator:olivia" in text
    assert issued.key.digest not in text


def test_nobody_else_gets_it_and_it_expires(cast: Cast, browse: Callable[[str], Client], events: None) -> None:
    export = written(cast, browse)
    address = f"downloads/{export.public_id}/file"
    assert browse("bob").get(f"/t/acme/{address}").status_code == 403
    assert browse("mallory").get(f"/t/globex/{address}").status_code == 404
    Export.objects.update(expires_at=timezone.now())
    assert browse("ada").get(f"/t/acme/{address}").status_code == 404
    exporting.work_queue(timezone.now())
    assert not ExportPart.objects.exists()


def test_a_killed_writer_is_begun_anew(cast: Cast, browse: Callable[[str], Client], events: None) -> None:
    browse("ada").post("/t/acme/downloads", FORM)
    Export.objects.update(state=ExportState.RUNNING, rows=1, lease_until=timezone.now() - timedelta(seconds=1))
    export = Export.objects.get()
    ExportPart.objects.create(tenant=cast.acme, export=export, position=0, content=b"half")
    assert exporting.work_queue(timezone.now()) == 1
    assert len(rows_of(browse("ada"), export)) == 3


@pytest.mark.parametrize(
    "days", [{"first": "2026-07-31", "last": "2026-07-01"}, {"first": "2020-01-01"}, {"kind": "all"}]
)
def test_what_cannot_be_written_is_refused(cast: Cast, browse: Callable[[str], Client], days: dict[str, str]) -> None:
    assert browse("ada").post("/t/acme/downloads", FORM | days).status_code == 400
    assert not Export.objects.exists()


def test_progress_is_shown(cast: Cast, browse: Callable[[str], Client]) -> None:
    browse("ada").post("/t/acme/downloads", FORM)
    Export.objects.update(state=ExportState.RUNNING, rows=25, rows_expected=100, lease_until=timezone.now())
    fragment = text_of(browse("ada").get("/t/acme/downloads", headers={"HX-Request": "true"}))
    assert "25%" in fragment
    assert "<html" not in fragment
