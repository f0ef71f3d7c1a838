from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from metering.attribution.coverage import Reserved
from metering.attribution.steps import Rule
from metering.collectors.series.labelled import Owners

START = datetime(2026, 7, 15, 12, tzinfo=UTC)
ALL = {
    "aurelius_reservation": "r-1", "hpc_job": "4711", "namespace": "team-c", "pod": "train-0", "UUID": "GPU-0",
}  # fmt: skip


def reserved(id: str, tenant: str, job: str = "") -> Reserved:
    return Reserved(id, tenant, "H100", Fraction(1), Fraction(1), START, None, job)


def owners() -> Owners:
    return Owners.of(
        ("namespace", "aurelius_reservation", "hpc_job"),
        {"team-c": "container"},
        {"process", "job", "container", "table"},
        [reserved("r-1", "process"), reserved("r-2", "job", "4711")],
        [Rule("container", "*/train-*", "table")],
    )


@pytest.mark.parametrize(
    ("without", "tenant", "by"),
    [
        ([], "process", "process"),
        (["aurelius_reservation"], "job", "reservation"),
        (["aurelius_reservation", "hpc_job"], "container", "container"),
    ],
)
def test_the_first_step_that_names_somebody_wins(without: list[str], tenant: str, by: str) -> None:
    owner = owners().owner({name: value for name, value in ALL.items() if name not in without})
    assert owner is not None
    assert (owner.tenant, owner.by) == (tenant, by)


def test_the_table_is_asked_last_and_a_step_that_names_nobody_is_passed_over() -> None:
    owner = owners().owner(
        {"aurelius_reservation": "gone", "hpc_job": "1", "namespace": "kube-system", "pod": "train-0"}
    )
    assert owner is not None
    assert (owner.tenant, owner.by) == ("table", "mapping")


def test_nobody_is_guessed() -> None:
    labels = {"namespace": "kube-system", "pod": "web-0"}
    assert owners().owner(labels) is None
    assert owners().names_somebody(labels)
    assert not owners().names_somebody({"UUID": "GPU-0"})
