"""Process, reservation, container, environment, mapping table: the first that names a tenant wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metering.attribution.steps import (
    STEPS,
    Facts,
    Known,
    Owner,
    Rule,
    by_container,
    by_environment,
    by_mapping,
    by_process,
    by_reservation,
    owner_of,
)

KNOWN = Known(
    tenants={"one", "two", "three", "four", "five"},
    reservations={"r-one": "one", "r-two": "two", "r-three": "three", "r-closed": "closed"},
    jobs={"55": "r-two"},
    rules=[Rule("user", "svc-five*", "five")],
)
EVERYTHING = Facts(
    command="python",
    user="svc-five-7",
    reservation="r-one",
    tenant="four",
    job="55",
    labels={"aurelius.tenant": "three"},
)


def test_each_step_alone():
    assert by_process(EVERYTHING, KNOWN) == Owner("one", "process", "r-one")
    assert by_reservation(EVERYTHING, KNOWN) == Owner("two", "reservation", "r-two")
    assert by_container(EVERYTHING, KNOWN) == Owner("three", "container")
    assert by_environment(EVERYTHING, KNOWN) == Owner("four", "environment")
    assert by_mapping(EVERYTHING, KNOWN) == Owner("five", "mapping")


def test_the_first_step_with_an_answer_wins():
    facts = EVERYTHING
    order = []
    for nothing in ({"reservation": ""}, {"job": ""}, {"labels": {}}, {"tenant": ""}, {"user": ""}):
        found = owner_of(facts, KNOWN)
        assert found is not None
        order.append(found.tenant)
        facts = replace(facts, **nothing)
    assert order == ["one", "two", "three", "four", "five"]
    assert owner_of(facts, KNOWN) is None


def test_an_answer_that_names_nobody_who_can_be_billed_is_passed_over():
    stale = replace(EVERYTHING, reservation="r-closed", job="99", labels={"aurelius.tenant": "gone"}, tenant="nobody")
    assert owner_of(stale, KNOWN) == Owner("five", "mapping")
    assert all(step(Facts(), KNOWN) is None for step in STEPS)


def test_a_label_may_name_a_reservation_before_a_tenant():
    facts = Facts(labels={"aurelius.reservation": "r-two", "aurelius.tenant": "three"})
    assert by_container(facts, KNOWN) == Owner("two", "container", "r-two")


@pytest.mark.parametrize(
    ("rule", "facts"),
    [
        (Rule("user", "alice", "one"), Facts(user="alice")),
        (Rule("command", "tritonserver", "one"), Facts(command="tritonserver")),
        (Rule("container", "acme/*", "one"), Facts(places=("/kubepods/pod1/x", "acme/train-0"))),
        (Rule("container", "/slurm/uid_1001/*", "one"), Facts(places=("/slurm/uid_1001/job_7/step_0",))),
    ],
)
def test_the_table_knows_users_containers_and_programs(rule, facts):
    assert owner_of(facts, Known({"one"}, rules=[rule])) == Owner("one", "mapping")
    assert owner_of(replace(facts, user="bob", command="bash", places=("x",)), Known({"one"}, rules=[rule])) is None


def test_the_table_is_read_from_the_top_and_whole_texts_fit():
    rules = [Rule("user", "svc", "one"), Rule("user", "svc*", "two"), Rule("user", "*", "three")]
    known = Known({"one", "two", "three"}, rules=rules)
    assert [owner_of(Facts(user=user), known).tenant for user in ("svc", "svc-1", "root")] == ["one", "two", "three"]
    assert owner_of(Facts(user=""), known) is None
