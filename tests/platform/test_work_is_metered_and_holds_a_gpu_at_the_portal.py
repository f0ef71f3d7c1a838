"""Against the live portal: a job holds a GPU and settles it, refused it fails with the portal's code; uses become events with model, user and
project; onboarding makes tenants, keys and accounts that work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aurelius import Client, Refused
from django.core.management import call_command

from aurelius_platform import accounts
from aurelius_platform.accounts import Caller
from aurelius_platform.jobs import Job, Jobs
from aurelius_platform.usage import Usage
from aurelius_platform.workshop import Workshop
from infra.platform import onboarding
from metering.models import Reservation, UsageEvent
from tenants.credentials import apikeys, operator_tokens
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.publishing import policy
from tenants.models import ApiKey, Tenant, Tier, TierRateLimit, User
from tests.platform.conftest import PASSWORD, config
from tests.platform.running import PATIENCE, until
from tests.portal.api.calling import patient_enforcement

CLEO = Caller("riverside", "cleo", "mammography")


@pytest.fixture
def portal(live_server: Any, transactional_db: None, settings: Any, redis_server: Any) -> Iterator[str]:
    TierRateLimit.objects.update(limit=None)
    with patient_enforcement(settings):
        yield live_server.url


@pytest.fixture
def here(portal: str, built: Path, tmp_path: Path) -> Any:
    """The configuration of a worker whose tenant riverside is the portal's."""
    tenant = Tenant.objects.create(slug="riverside", name="Riverside", tier=Tier.objects.get(slug="standard"))
    key = apikeys.create(tenant, name="services", scopes=["usage:write", "reserve"], by=None, actor="test").text
    until(lambda: _published(tenant), "Redis does not take the key")
    for name in ("catalogue.json", "modality-1.onnx", "indexes"):
        (tmp_path / name).symlink_to(built / name)
    accounts.dump(tmp_path / "accounts.json", [], {"riverside": key})
    return config("worker", tmp_path, portal_url=portal, gpu_model="L4")


def _published(tenant: Tenant) -> bool:
    """What follows a commit by itself, once more: a busy Redis may have missed it, and then a later reconciliation publishes."""
    try:
        policy.publish_now(tenant.pk)
    except RedisUnavailableError:
        return False
    return True


def inferred(here: Any) -> tuple[Any, Job]:
    """(workshop, job) of one study, done as the queue's task would."""
    workshop = Workshop(here)
    study = next(each for each in workshop.catalogue.studies if each.modality == "MR")
    job = workshop.jobs.add("infer", CLEO, study.id)
    try:
        workshop.run(job.id, workshop.infer)
    finally:
        workshop.usage.flush()
        assert workshop.usage._events is not None
        assert workshop.usage._events.flush(PATIENCE)
        workshop.usage.__exit__(None, None, None)
    return workshop, workshop.jobs.get(job.id)


def test_a_job_holds_a_gpu_and_tells_what_it_did(here: Any) -> None:
    call_command("add_meter", *onboarding.METERS, "--now")
    workshop, job = inferred(here)
    row = Reservation.objects.get()
    assert (job.state, job.result["reservation"], row.state) == ("done", str(row.public_id), "settled")
    assert (job.processed, job.expected) == (job.result["slices"], job.result["slices"])
    events = {event.meter: event for event in UsageEvent.objects.all()}
    labels = {"user": "cleo", "project": "mammography"}
    assert events["inferences"].dims == {"model": "modality-1", **labels}
    assert events["inferences"].quantity_micro == job.result["slices"] * 1_000_000
    assert events["gpu_hours"].dims == {"model": "L4", "inference_model": "modality-1", **labels}
    workshop.run(job.id, workshop.infer)  # delivered once more
    assert Reservation.objects.count() == 1


def test_what_a_job_used_counts_once_although_its_worker_died_before_it_said_so(here: Any) -> None:
    call_command("add_meter", *onboarding.METERS, "--now")
    workshop, job = inferred(here)
    workshop.jobs.progress(job.id, job.processed, job.expected)  # what it was when the worker died
    again = Workshop(here)
    again.run(job.id, again.infer)
    again.usage.__exit__(None, None, None)
    assert again.usage._events is not None
    assert (again.usage._events.duplicates, again.usage._events.rejected) == (1, 0)
    (event,) = UsageEvent.objects.filter(meter="inferences")
    assert event.quantity_micro == job.result["slices"] * 1_000_000


def test_a_job_that_gets_no_gpu_fails_with_the_portals_code(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aurelius_platform.workshop.EXPECTED_HOURS", "5000")
    with pytest.raises(Refused) as refusal:
        inferred(here)
    assert not Reservation.objects.exists()
    (job,) = Jobs(here.jobs).latest("infer")
    assert (job.state, job.result["code"]) == ("failed", refusal.value.code)


def test_like_uses_become_one_event_of_the_tenants_own(here: Any) -> None:
    call_command("add_meter", *onboarding.METERS, "--now")
    with Usage.of(here) as usage:
        for _ in range(3):
            usage.record(CLEO, "searches", model="bm25")
        usage.record(CLEO, "searches", model="lsa-64")
        usage.flush()
        until(lambda: UsageEvent.objects.count() == 2, "the events are not booked")
    found = {
        (event.dims["model"], event.quantity_micro, event.tenant.slug)
        for event in UsageEvent.objects.select_related("tenant")
    }
    assert found == {("bm25", 3_000_000, "riverside"), ("lsa-64", 1_000_000, "riverside")}


def test_onboarding_makes_what_the_gateway_needs_once(
    portal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = onboarding.Customer("lakeside", "Lakeside", "starter", {"clinician": 1, "admin": 1}, ("triage",), minute=7)
    monkeypatch.setattr(onboarding, "CUSTOMERS", (few,))
    operator = User.objects.create_user("olga", "olga@example.org", PASSWORD, is_staff=True, is_superuser=True)
    token = operator_tokens.create(operator, name="onboarding", actor="test", reason="test").text
    for _ in range(2):
        assert onboarding.onboard(Client(portal, token), tmp_path / "accounts.json", tmp_path / "logins.json") == 2
    with pytest.raises(FileNotFoundError):
        onboarding.onboard(Client(portal, token), tmp_path / "second.json", tmp_path / "nowhere" / "logins.json")
    assert not (tmp_path / "second.json").exists(), "accounts whose passwords nobody knows"
    tenant = Tenant.objects.get(slug="lakeside")
    assert tenant.tier.slug == "starter"
    logins = json.loads((tmp_path / "logins.json").read_text())
    known = accounts.Accounts.load(tmp_path / "accounts.json")
    assert [row["username"] for row in logins] == ["clinician-1", "admin-1"]
    for row in logins:
        account = known.check(row["username"], row["password"])
        assert account is not None
        assert account.api_key.startswith("gpk_test_lakeside_")
    assert (tmp_path / "logins.json").stat().st_mode & 0o077 == 0
    assert ApiKey.objects.filter(tenant=tenant).count() == 3 * 3
    assert ApiKey.objects.filter(tenant=tenant, key_id=known.service_key("lakeside").split("_")[3]).exists()
