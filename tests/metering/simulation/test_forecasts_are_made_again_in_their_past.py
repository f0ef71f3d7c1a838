"""What the product would have forecast, knowing nothing of what came; beside what did come."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection

from metering.costing.projections import Projection
from metering.models import UsageRollup
from metering.simulation import hindsight, plans, running
from metering.simulation.hindsight import Outcome
from metering.simulation.plans import Incident
from tenants.models import Tenant

UNTIL = datetime(2026, 5, 4, 7, tzinfo=UTC)
PLATFORM = running.Platform(1, 3, date(2026, 2, 1), UNTIL)


@pytest.fixture
def simulated(db) -> None:
    for done in running.run(PLATFORM):
        assert not done.differences


def test_nothing_that_came_later_is_known_and_nothing_is_changed(simulated):
    before = list(UsageRollup.objects.order_by("pk").values_list())
    made = [each for some in hindsight.look_back(PLATFORM, ["2026-04"], range(3)) for each in some]
    assert list(UsageRollup.objects.order_by("pk").values_list()) == before
    assert {each.what for each in made} == {"cost", "api_calls", "gpu_hours"}
    assert {each.stand for each in made} == set(hindsight.STANDS)

    first = next(each for each in made if each.what == "cost" and each.stand == hindsight.STANDS[0])
    tenant = Tenant.objects.get(slug=first.slug)
    now = datetime(2026, 4, 1 + first.stand[0], first.stand[1], tzinfo=ZoneInfo(tenant.time_zone)).astimezone(UTC)
    with connection.cursor() as cursor:  # truly without a future
        cursor.execute("DELETE FROM metering_usagerollup WHERE hour >= %s", [now])
    end = Projection(tenant, now).cost().end
    assert end is not None
    assert (first.p10, first.p50, first.p90) == (float(end.p10), float(end.p50), float(end.p90))


def test_what_came_is_the_truth_and_the_naive_one_is_the_run_rate(simulated):
    made = [each for some in hindsight.look_back(PLATFORM, ["2026-04"], range(3)) for each in some]
    truths = {PLATFORM.plan(number).slug: PLATFORM.truth(number) for number in range(3)}
    for each in made:
        truth = truths[each.slug]
        if each.what == "cost":
            assert each.true == float(truth.bill("2026-04", truth.month_seconds("2026-04")))
        if each.what == "api_calls":
            assert each.true == truth.months["2026-04"].calls
    calls = [each for each in made if each.what == "api_calls" and each.stand == (10, 0)]
    for each in calls:
        plan = next(PLATFORM.plan(number) for number in range(3) if PLATFORM.plan(number).slug == each.slug)
        seen = running.days.every_day(date(2026, 4, 1), date(2026, 4, 10))
        so_far = sum(count.times for day in seen for count in running.days.day_of(plan, day, UNTIL).calls)
        # A clock change makes a month an hour longer or shorter.
        assert each.naive == pytest.approx(so_far * 3, rel=0.005)


def test_months_that_ended_everywhere():
    assert hindsight.last_months(PLATFORM, 2) == ["2026-04", "2026-03"]
    just = running.Platform(1, 1, date(2026, 2, 1), datetime(2026, 5, 1, 3, tzinfo=UTC))
    assert hindsight.last_months(just, 1) == ["2026-03"]  # April goes on in Pago Pago


def test_the_shape_of_a_time():
    def shape(joined: date, *incidents: Incident) -> str:
        plan = plans.make(1, 0, date(2025, 1, 1), date(2026, 5, 1))
        changed = {**plan.__dict__, "joined": joined, "incidents": incidents}
        return hindsight.shape_of(plans.TenantPlan(**changed), date(2026, 4, 15), date(2026, 5, 1))

    old, new = date(2025, 1, 1), date(2026, 4, 15)
    assert shape(old) == "steady"
    assert shape(new - timedelta(days=13)) == "under two weeks"
    assert shape(new - timedelta(days=59)) == "new"
    assert shape(old, Incident(date(2026, 4, 14), 1, 4.0)) == "incident behind"
    assert shape(old, Incident(date(2026, 4, 14), 2, 4.0)) == "incident to come"  # its second day
    assert shape(old, Incident(date(2026, 5, 1), 2, 4.0)) == "steady"
    assert shape(old, Incident(date(2026, 1, 10), 2, 4.0)) == "steady"
    assert shape(old, Incident(date(2026, 1, 14), 1, 0.0), Incident(date(2026, 4, 30), 1, 0.0)) == "incident to come"


def test_a_score_is_of_parts_of_what_came():
    def outcome(p10: float, p50: float, p90: float, naive: float) -> Outcome:
        return Outcome("a", "2026-04", (3, 0), "cost", "steady", p10, p50, p90, naive, 100.0)

    score = hindsight.score(
        "cost", "all", [outcome(90, 98, 110, 96), outcome(70, 80, 90, 60), outcome(80, 95, 130, 105)]
    )
    assert score.forecasts == 3
    assert score.error == pytest.approx((0.02 + 0.20 + 0.05) / 3)
    assert score.median_error == pytest.approx(0.05)
    assert score.naive_error == pytest.approx((0.04 + 0.40 + 0.05) / 3)
    assert score.better_by == pytest.approx(1 - 0.27 / 0.49)
    assert score.held == pytest.approx(2 / 3)
    assert score.width == pytest.approx((0.2 + 0.2 + 0.5) / 3)


def test_how_far_it_is_and_how_long_it_takes_is_told(db, capsys):
    call_command("simulate", "--tenants", "12", "--months", "1", "--until", UNTIL.isoformat())
    said = capsys.readouterr().out
    assert "6/12 tenants: " in said
    assert "tenants a second" in said
    assert "min left" in said
    assert "12/12 tenants: " in said
