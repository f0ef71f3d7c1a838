"""The steps of attribution: what is known of a process, against what is known of reservations and tenants. PURE: no Django, no files, no clock.

In this order, and the first that names a tenant which may be billed wins:

1. process: it names its reservation itself.
2. reservation: one was made for the batch job that it runs in.
3. container: the label of its container names a reservation or a tenant.
4. environment: a variable that its launcher set names the tenant.
5. mapping: the operators' table of users, containers and programs.

A step that names nobody, or somebody unknown, is passed over: a stale label must not hide a good table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

PROCESS, RESERVATION, CONTAINER, ENVIRONMENT, MAPPING = "process", "reservation", "container", "environment", "mapping"
LABEL_RESERVATION, LABEL_TENANT = "aurelius.reservation", "aurelius.tenant"


@dataclass(frozen=True, slots=True)
class Facts:
    """What can be read of a process; "" where nothing is said.

    `reservation` and `tenant` are what its environment names, `job` the batch job of its control group, `labels` those of its container,
    `places` the names under which the mapping table may know where it runs: path of the control group, container id, namespace/pod.
    """

    command: str = ""
    user: str = ""
    reservation: str = ""
    tenant: str = ""
    job: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    places: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of the mapping table: `fact` is user, container or command."""

    fact: str
    pattern: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Known:
    """What steps look things up in: tenants that may be billed, the tenants of reservations by id, reservations by batch job, the table in order."""

    tenants: Collection[str]
    reservations: Mapping[str, str] = field(default_factory=dict)
    jobs: Mapping[str, str] = field(default_factory=dict)
    rules: Sequence[Rule] = ()


@dataclass(frozen=True, slots=True)
class Owner:
    """The tenant, which step found it, and the reservation where that is how."""

    tenant: str
    by: str
    reservation: str = ""


Step = Callable[[Facts, Known], Owner | None]


def by_process(facts: Facts, known: Known) -> Owner | None:
    return _of_reservation(facts.reservation, PROCESS, known)


def by_reservation(facts: Facts, known: Known) -> Owner | None:
    return _of_reservation(known.jobs.get(facts.job, "") if facts.job else "", RESERVATION, known)


def by_container(facts: Facts, known: Known) -> Owner | None:
    return _of_reservation(facts.labels.get(LABEL_RESERVATION, ""), CONTAINER, known) or _of_tenant(
        facts.labels.get(LABEL_TENANT, ""), CONTAINER, known
    )


def by_environment(facts: Facts, known: Known) -> Owner | None:
    return _of_tenant(facts.tenant, ENVIRONMENT, known)


def by_mapping(facts: Facts, known: Known) -> Owner | None:
    texts: dict[str, Sequence[str]] = {
        "user": (facts.user,),
        "container": facts.places,
        "command": (facts.command,),
    }
    for rule in known.rules:
        if rule.tenant in known.tenants and any(
            text and fnmatchcase(text, rule.pattern) for text in texts.get(rule.fact, ())
        ):
            return Owner(rule.tenant, MAPPING)
    return None


STEPS: tuple[Step, ...] = (by_process, by_reservation, by_container, by_environment, by_mapping)


def owner_of(facts: Facts, known: Known) -> Owner | None:
    """The first step's answer, None when no step has one: then the time is unattributed."""
    return next((found for step in STEPS if (found := step(facts, known)) is not None), None)


def _of_reservation(id: str, by: str, known: Known) -> Owner | None:
    tenant = known.reservations.get(id, "") if id else ""
    return Owner(tenant, by, id) if tenant in known.tenants else None


def _of_tenant(slug: str, by: str, known: Known) -> Owner | None:
    return Owner(slug, by) if slug and slug in known.tenants else None
