"""What can be imported: for each kind of row, the columns and the use case that one row becomes. The rules are the use cases' own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from metering.attribution import table
from metering.budgets import setting
from metering.files.exports import Cell
from metering.models import Budget, GpuOwnerRule
from tenants import audit, provisioning
from tenants.limiting import overrides
from tenants.models import Membership, Override, Tenant, User
from tenants.people import memberships
from tenants.problems import invalid

Cells = Mapping[str, str]
CREATED, CHANGED, SAME = "create", "change", "same"
RULE_POSITION = 100


@dataclass(frozen=True)
class Who:
    """On whose account, and why."""

    user: User
    reason: str

    @property
    def actor(self) -> str:
        return audit.user_actor(self.user)


@dataclass(frozen=True)
class Done:
    """What a row did: one of CREATED, CHANGED, SAME, and what exactly, for the reader."""

    outcome: str
    text: str


@dataclass(frozen=True)
class Kind:
    """A kind of row. `apply` raises ProblemError for a row that cannot be; `rows` are the present ones, as the file would have them."""

    key: str
    name: Any
    columns: tuple[str, ...]
    required: tuple[str, ...]
    permissions: tuple[str, ...]
    help: Any
    apply: Callable[[Cells, Who], Done]
    rows: Callable[[], Iterable[list[Cell]]]
    named_by: tuple[str, ...]
    """The columns by which the reader knows a row."""
    back: str = "tenants_tenant"
    """The list to which an import leads, as the admin names it."""


# --------------------------------------------------------------------------------------------------------------- tenants


def _tenant_row(cells: Cells, who: Who) -> Done:
    tenant = Tenant.objects.select_related("tier").filter(slug=cells["slug"]).first()
    tier = provisioning.tier_by_slug(cells["tier"]) if cells.get("tier") else None
    as_said = {"actor": who.actor, "reason": who.reason}
    if tenant is None:
        values = {name: cells[name] for name in ("time_zone", "currency", "contact_email") if cells.get(name)}
        owner = _person(cells["owner"]) if cells.get("owner") else None
        made = provisioning.create_tenant(
            slug=cells["slug"], name=cells.get("name", ""), tier=tier, owner=owner, **as_said, **values
        )
        return Done(CREATED, _("%(name)s, tier %(tier)s") % {"name": made.name, "tier": made.tier})
    if cells.get("currency") and cells["currency"] != tenant.currency:
        raise invalid("currency", f"A tenant's currency never changes; it is {tenant.currency}.", "read_only")
    if cells.get("owner"):
        raise invalid(
            "owner", "The owner is for new tenants. Import members to change who belongs to this one.", "read_only"
        )
    changes = {
        name: cells[name] for name in provisioning.UPDATABLE if cells.get(name) and cells[name] != getattr(tenant, name)
    }
    said = [f"{name}: {getattr(tenant, name) or '–'} → {value}" for name, value in changes.items()]
    if changes:
        provisioning.update(tenant, changes, **as_said)
    if tier is not None and tier.pk != tenant.tier_id:
        said.append(f"tier: {tenant.tier} → {tier}")
        provisioning.change_tier(tenant, tier, **as_said)
    return Done(CHANGED, "; ".join(said)) if said else Done(SAME, "")


def _tenants() -> Iterable[list[Cell]]:
    for each in Tenant.objects.exclude(state="closed").select_related("tier").order_by("slug"):
        yield [each.slug, each.name, each.tier.slug, each.time_zone, each.currency, each.contact_email, ""]


# --------------------------------------------------------------------------------------------------------------- members


def _member_row(cells: Cells, who: Who) -> Done:
    tenant, person, role = _tenant(cells), _person(cells["user"]), cells["role"].lower()
    found = (
        Membership.objects.filter(tenant=tenant, user=person, removed_at__isnull=True).select_related("user").first()
    )
    if found is None:
        memberships.add(tenant, person, role, by=None, actor=who.actor, reason=who.reason)
        return Done(CREATED, f"{person} → {role}")
    if found.role == role:
        return Done(SAME, "")
    before = found.role
    memberships.change_role(found, role, by=None, actor=who.actor, reason=who.reason)
    return Done(CHANGED, f"{person}: {before} → {role}")


def _members() -> Iterable[list[Cell]]:
    rows = Membership.objects.filter(removed_at__isnull=True).select_related("tenant", "user")
    for each in rows.order_by("tenant__slug", "user__username"):
        yield [each.tenant.slug, each.user.get_username(), each.role]


# ------------------------------------------------------------------------------------------------------------- overrides


def _override_row(cells: Cells, who: Who) -> Done:
    tenant, until = _tenant(cells), _instant(cells.get("valid_until", ""))
    limit = _limit(cells["limit"])
    kind, name, mode = cells["kind"].lower(), cells["name"], cells.get("mode", "").lower()
    now = timezone.now()
    standing = overrides.in_force(tenant, kind, name, now)
    if standing and (standing.limit, standing.mode, standing.valid_until) == (limit, mode, until):
        return Done(SAME, "")
    overrides.set_limit(
        tenant, kind, name, limit, mode=mode, valid_until=until, reason=who.reason, actor=who.actor, created_by=who.user
    )
    text = f"{name} → {cells['limit']}"
    return Done(CHANGED, f"{name}: {_plain(standing.limit)} → {cells['limit']}") if standing else Done(CREATED, text)


def _overrides() -> Iterable[list[Cell]]:
    rows = Override.objects.in_force(timezone.now()).select_related("tenant")
    for each in rows.order_by("tenant__slug", "kind", "name"):
        yield [each.tenant.slug, each.kind, each.name, _plain(each.limit), each.mode, each.valid_until]


# --------------------------------------------------------------------------------------------------------------- budgets


def _budget_row(cells: Cells, who: Who) -> Done:
    tenant, amount = _tenant(cells), _decimal("amount", cells["amount"])
    found = Budget.objects.filter(tenant=tenant, is_primary=True).prefetch_related("thresholds").first()
    present = sorted(each.percent for each in found.thresholds.all()) if found else []
    marks = _marks(cells.get("thresholds", "")) or present or [80, 90, 100]
    if found and found.is_active and (found.amount, present) == (amount, marks):
        return Done(SAME, "")
    budget = setting.set_budget(tenant, amount, marks, who.actor, reason=who.reason)
    new = f"{_plain(budget.amount)} {budget.currency}, {', '.join(f'{mark}%' for mark in marks)}"
    return Done(CHANGED, f"{_plain(found.amount)} → {new}") if found else Done(CREATED, new)


def _budgets() -> Iterable[list[Cell]]:
    rows = Budget.objects.filter(tenant__isnull=False, is_primary=True, is_active=True, amount__isnull=False)
    for each in rows.select_related("tenant").prefetch_related("thresholds").order_by("tenant__slug"):
        marks = " ".join(str(mark.percent) for mark in sorted(each.thresholds.all(), key=lambda mark: mark.percent))
        yield [each.tenant.slug if each.tenant else "", each.amount, marks]


# ---------------------------------------------------------------------------------------------------------- owners of GPUs


def _owner_row(cells: Cells, who: Who) -> Done:
    fact, pattern, node = cells["fact"].lower(), cells["pattern"], cells.get("node", "")
    given = cells.get("position", "")
    found = GpuOwnerRule.objects.filter(fact=fact, pattern=pattern, node=node).first()
    position = _whole("position", given) if given else found.position if found else RULE_POSITION
    rule, before = table.set_rule(
        fact, pattern, _tenant(cells), node=node, position=position, actor=who.actor, reason=who.reason
    )
    if before is None:
        return Done(CREATED, f"{rule} → {rule.tenant.slug}, {rule.position}")
    said = [
        f"{name}: {old} → {new}"
        for name, old, new in (
            ("tenant", before.tenant.slug, rule.tenant.slug),
            ("position", before.position, rule.position),
        )
        if old != new
    ]
    return Done(CHANGED, f"{rule}: {'; '.join(said)}") if said else Done(SAME, "")


def _owners() -> Iterable[list[Cell]]:
    for each in GpuOwnerRule.objects.select_related("tenant"):
        yield [each.position, each.fact, each.pattern, each.node, each.tenant.slug]


# ----------------------------------------------------------------------------------------------------------------- cells


def _tenant(cells: Cells) -> Tenant:
    tenant = Tenant.objects.select_related("tier").filter(slug=cells["tenant"]).first()
    if tenant is None:
        raise invalid("tenant", f"There is no tenant “{cells['tenant']}”.", "unknown")
    return tenant


def _person(given: str) -> User:
    found = list(User.objects.filter(Q(username=given) | Q(email__iexact=given), is_active=True)[:2])
    if len(found) != 1:
        raise invalid("user", f"No single active account is called “{given}” or has this address.", "unknown")
    return found[0]


def _limit(given: str) -> Decimal | None:
    return None if given.lower() in ("unlimited", "∞") else _decimal("limit", given)


def _decimal(column: str, given: str) -> Decimal:
    try:
        value = Decimal(given) if given.isascii() and "_" not in given else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite():
        raise invalid(column, f"“{given}” is not a number. Write 1234.5, without separators or a currency.", "invalid")
    return value


def _whole(column: str, given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise invalid(column, f"“{given}” is not a whole number from 0.", "invalid")
    return int(given)


def _marks(given: str) -> list[int]:
    parts = given.replace(",", " ").replace(";", " ").replace("%", " ").split()
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise invalid("thresholds", "Write whole percentages with blanks between them: 80 90 100.", "invalid")
    return [int(part) for part in parts]


def _instant(given: str) -> datetime | None:
    """An instant with its offset, or the start of that day in UTC."""
    if not given:
        return None
    try:
        at, day = parse_datetime(given), parse_date(given)
    except ValueError:
        at = day = None
    if at is not None and at.tzinfo is not None:
        return at
    if at is not None and day is None:
        day = at.date() if (at.hour, at.minute, at.second) == (0, 0, 0) else None
    if day is None:
        raise invalid(
            "valid_until", "Write a day (2027-01-31) or an instant with its zone (2027-01-31T18:00+01:00).", "invalid"
        )
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _plain(value: Decimal | None) -> str:
    return "unlimited" if value is None else format(value.normalize(), "f")


KINDS = {
    kind.key: kind
    for kind in (
        Kind(
            "tenants",
            gettext_lazy("Tenants"),
            ("slug", "name", "tier", "time_zone", "currency", "contact_email", "owner"),
            ("slug",),
            ("tenants.add_tenant", "tenants.change_tenant"),
            gettext_lazy(
                "A slug that exists changes that tenant; empty cells change nothing. The owner is for new tenants only."
            ),
            _tenant_row,
            _tenants,
            ("slug",),
        ),
        Kind(
            "members",
            gettext_lazy("Members"),
            ("tenant", "user", "role"),
            ("tenant", "user", "role"),
            ("tenants.add_membership", "tenants.change_membership"),
            gettext_lazy("People need an account already. Nobody is removed by an import."),
            _member_row,
            _members,
            ("tenant", "user", "role"),
        ),
        Kind(
            "overrides",
            gettext_lazy("Overrides"),
            ("tenant", "kind", "name", "limit", "mode", "valid_until"),
            ("tenant", "kind", "name", "limit"),
            ("tenants.add_override",),
            gettext_lazy(
                "kind: rate_limit or quota; name: a window (minute, hour, day) or a meter; limit: a number or “unlimited”; valid_until: "
                "a day (its start, UTC) or an instant with its zone. They hold from the moment of the import."
            ),
            _override_row,
            _overrides,
            ("tenant", "kind", "name"),
        ),
        Kind(
            "budgets",
            gettext_lazy("Budgets"),
            ("tenant", "amount", "thresholds"),
            ("tenant", "amount"),
            ("metering.add_budget", "metering.change_budget"),
            gettext_lazy("The tenant's primary monthly budget, in its own currency; thresholds in percent: 80 90 100."),
            _budget_row,
            _budgets,
            ("tenant", "amount", "thresholds"),
        ),
        Kind(
            "gpu_owners",
            gettext_lazy("GPU owner rules"),
            ("position", "fact", "pattern", "node", "tenant"),
            ("fact", "pattern", "tenant"),
            ("metering.add_gpuownerrule", "metering.change_gpuownerrule"),
            gettext_lazy(
                "fact: user, container or command; pattern: with * ? and [a-z], the whole text must fit; node: empty for every node; position: "
                "small numbers are tried first, 100 when left out. A line with the same fact, pattern and node is changed; none is removed."
            ),
            _owner_row,
            _owners,
            ("fact", "pattern", "node"),
            "metering_gpuownerrule",
        ),
    )
}
"""By key, in the order of the page."""
