from __future__ import annotations

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metering.models import Notification, QuarantinedEvent
from tenants.models import AuditEntry, Tenant
from tests.tenants.cast import Cast

from .conftest import Browse, text_of


def act(client: Client, model: str, action: str, rows: list[int], **values: object) -> object:
    """Choose rows of a list and an action, as the list's form sends it."""
    url = reverse(f"admin:{model}_changelist")
    return client.post(url, {"action": action, "_selected_action": rows, **values})


def test_suspending_shows_whom_and_does_it_with_the_reason(cast: Cast, browse: Browse) -> None:
    olivia, rows = browse("olivia"), [cast.acme.pk, cast.globex.pk]
    page = text_of(act(olivia, "tenants_tenant", "suspend_selected", rows))  # type: ignore[arg-type]
    assert "Acme Radiology" in page
    assert "Globex" in page
    assert Tenant.objects.filter(state="active").count() == 2
    act(olivia, "tenants_tenant", "suspend_selected", rows, confirmed="1", reason="unpaid since May")
    assert set(Tenant.objects.values_list("state", "state_reason")) == {("suspended", "unpaid since May")}
    entries = AuditEntry.objects.filter(table_name="tenants_tenant", operation="UPDATE")
    assert set(entries.values_list("actor", "reason")) == {("user:olivia", "unpaid since May")}


def test_what_does_not_fit_is_left_out(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    act(olivia, "tenants_tenant", "suspend_selected", [cast.acme.pk], confirmed="1", reason="r")
    act(olivia, "tenants_tenant", "resume_selected", [cast.acme.pk, cast.globex.pk], confirmed="1", reason="paid")
    assert set(Tenant.objects.values_list("state", flat=True)) == {"active"}
    entries = AuditEntry.objects.filter(table_name="tenants_tenant", operation="UPDATE", tenant=cast.globex)
    assert not entries.exists()


def test_a_failed_mail_is_sent_again(cast: Cast, browse: Browse) -> None:
    mail = Notification.objects.create(
        dedupe_key="k",
        kind="budget",
        tenant=cast.acme,
        recipient="a@acme.example",
        subject="s",
        text="t",
        state="failed",
    )
    act(
        browse("olivia"), "metering_notification", "retry_selected", [mail.pk], confirmed="1", reason="mailbox was full"
    )
    mail.refresh_from_db()
    assert mail.state == "pending"
    assert mail.next_attempt_at <= timezone.now()


def test_a_quarantined_event_is_resolved_with_words_and_stays(cast: Cast, browse: Browse) -> None:
    event = QuarantinedEvent.objects.create(
        tenant=cast.acme, source="s", event_id="1", reason="too_old", detail="d", payload={"a": 1}
    )
    act(
        browse("olivia"), "metering_quarantinedevent", "resolve_selected", [event.pk], confirmed="1", reason="test data"
    )
    event.refresh_from_db()
    assert (event.resolved_at is not None, event.resolution, event.payload) == (True, "test data", {"a": 1})
