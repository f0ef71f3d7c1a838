"""The audit trail in plain words: one sentence for each kind of change, with old and new values below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from metering.models import Budget, Meter, Reservation, ReservationState, WebhookEndpoint
from tenants.models import ApiKey, AuditEntry, Membership, Override, Role, Tenant, TenantState, Tier, User
from tenants.models.apikey import Scope

from . import formats


@dataclass(frozen=True)
class Change:
    """One value that changed. `old` is empty for something new."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Line:
    """One entry as it is shown."""

    who: str
    badge: str
    sentence: str
    changes: list[Change]
    reason: str
    at: datetime
    time: str
    icon: str = ""
    """Of what is not a person: programs have no initials."""

    @property
    def initial(self) -> str:
        return self.who[:1].upper()


@dataclass
class Names:
    """Names behind the ids of one page of entries, fetched in a query for each kind."""

    members: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    acting_keys: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    budgets: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    tiers: dict[str, str] = field(default_factory=dict)
    meters: dict[str, str] = field(default_factory=dict)
    reservations: dict[str, str] = field(default_factory=dict)
    """What is reserved: "2 × H100"."""
    own_people: set[str] = field(default_factory=set)
    """Those of the acting users who are, or were, members of the tenant: the others are the platform's staff."""
    webhooks: dict[str, str] = field(default_factory=dict)
    """Where they lead."""


def by_day(entries: Iterable[AuditEntry], tenant: Tenant) -> list[tuple[date, list[Line]]]:
    """The entries (newest first) as lines under their days in the tenant's zone."""
    rows = list(entries)
    names = _names(rows, tenant)
    days: dict[date, list[Line]] = {}
    for entry in rows:
        days.setdefault(entry.at.astimezone(ZoneInfo(tenant.time_zone)).date(), []).append(_line(entry, tenant, names))
    return list(days.items())


def of(tenant: Tenant) -> QuerySet[AuditEntry]:
    """The tenant's entries, newest first. That a draft invoice was computed again is no news to anybody."""
    recomputed = Q(table_name="metering_invoice", operation="UPDATE") & ~Q(new__has_key="state")
    return AuditEntry.objects.filter(tenant=tenant).exclude(recomputed).order_by("-id")


def _names(rows: list[AuditEntry], tenant: Tenant) -> Names:
    """Look up only the kinds that the page mentions."""
    names = Names()
    ids: dict[str, set[str]] = {}
    for row in rows:
        ids.setdefault(row.table_name, set()).add(row.row_id)
    if "tenants_membership" in ids:
        people = Membership.objects.filter(tenant=tenant, pk__in=ids["tenants_membership"]).select_related("user")
        names.members = {str(row.pk): row.user.get_username() for row in people}
    if "tenants_apikey" in ids:
        names.keys = {
            str(pk): name
            for pk, name in ApiKey.objects.filter(tenant=tenant, pk__in=ids["tenants_apikey"]).values_list("pk", "name")
        }
    _name_actors(rows, tenant, names)
    if "tenants_override" in ids:
        names.overrides = {
            str(pk): name
            for pk, name in Override.objects.filter(tenant=tenant, pk__in=ids["tenants_override"]).values_list(
                "pk", "name"
            )
        }
    if ids.keys() & {"metering_budget", "metering_budgetthreshold"}:
        names.budgets = {str(pk): name for pk, name in Budget.objects.filter(tenant=tenant).values_list("pk", "name")}
    if "metering_reservation" in ids:
        held = Reservation.objects.filter(tenant=tenant, pk__in=ids["metering_reservation"])
        names.reservations = {
            str(pk): _gpus(gpus, model) for pk, gpus, model in held.values_list("pk", "gpus", "gpu_model")
        }
    if "metering_webhookendpoint" in ids:
        hooks = WebhookEndpoint.objects.filter(tenant=tenant, pk__in=ids["metering_webhookendpoint"])
        names.webhooks = {str(pk): url for pk, url in hooks.values_list("pk", "url")}
    wanted = {
        str(value)
        for row in rows
        for name in ("user_id", "created_by_id")
        for side in (row.old, row.new)
        if side and (value := side.get(name))
    }
    if wanted:
        names.users = {str(pk): name for pk, name in User.objects.filter(pk__in=wanted).values_list("pk", "username")}
    if "tenants_tenant" in ids:
        names.tiers = {str(pk): name for pk, name in Tier.objects.values_list("pk", "name")}
    if ids.keys() & {"tenants_override", "tenants_quotarequest"}:
        names.meters = dict(Meter.objects.values_list("key", "name"))
    return names


def _name_actors(rows: list[AuditEntry], tenant: Tenant, names: Names) -> None:
    """Look up who acted: people of the tenant, and API keys."""
    people = {row.actor.removeprefix("user:") for row in rows if row.actor.startswith("user:")}
    if people:
        own = Membership.objects.filter(tenant=tenant, user__username__in=people)
        names.own_people = set(own.values_list("user__username", flat=True))
    acting = {row.actor.removeprefix("key:") for row in rows if row.actor.startswith("key:")}
    if acting:
        names.acting_keys = dict(ApiKey.objects.filter(tenant=tenant, key_id__in=acting).values_list("key_id", "name"))


def _line(entry: AuditEntry, tenant: Tenant, names: Names) -> Line:
    who, badge = _who(entry.actor, names)
    sentence, shown = _sentence(entry, names)
    icon = _ICONS.get(entry.actor.partition(":")[0], "")
    time = formats.time_of_day(entry.at, tenant.time_zone)
    changes = _changes(entry, shown, tenant, names)
    reason = "" if any(change.new == entry.reason for change in changes) else entry.reason  # said once
    return Line(who, badge, sentence, changes, reason, entry.at, time, icon)


_ICONS = {"system": "system", "db": "storage", "key": "keys"}


def _who(actor: str, names: Names) -> tuple[str, str]:
    """(name, badge) of an actor text such as "user:alice". Ids of credentials are nobody's name."""
    kind, _colon, name = actor.partition(":")
    match kind:
        case "user":
            return name, "" if name in names.own_people else _("Platform staff")
        case "operator" | "staff" | "admin":
            return name, _("Platform staff")
        case "token" | "operator-token":  # "k5jq2v7ma3xw4rnd (olivia)"; older entries have the id alone
            person = _PERSON.search(name)
            return person[1] if person else _("Platform staff"), _("Operator token")
        case "key":
            return names.acting_keys.get(name) or _("An old key"), _("API key")
        case "system":
            return _("The portal"), name.replace("_", " ")
        case "db":
            return _("A database session"), name
    return actor, ""


_PERSON = re.compile(r"\((.+)\)\Z")

Sentence = tuple[str, tuple[str, ...]]
"""What happened, and the columns whose values are worth showing below."""


def _sentence(entry: AuditEntry, names: Names) -> Sentence:
    describe = _TABLES.get(entry.table_name)
    if describe is None:
        what = entry.table_name.partition("_")[2].replace("_", " ")
        verb = {"INSERT": _("added"), "UPDATE": _("changed"), "DELETE": _("deleted")}[entry.operation]
        return f"{verb} {what}", ()
    return describe(entry.operation, entry.old or {}, entry.new or {}, entry.row_id, names)


def _membership(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    person = {"name": names.members.get(row_id) or names.users.get(str(new.get("user_id"))) or _("a former member")}
    if operation == "INSERT":
        return _("added %(name)s as %(role)s") % {**person, "role": _role(new.get("role"))}, ()
    if new.get("removed_at"):
        return _("removed %(name)s") % person, ()
    if "removed_at" in new:
        return _("brought %(name)s back") % person, ("role",)
    return _("changed the role of %(name)s") % person, ("role",)


def _invitation(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    address = {"email": new.get("email") or old.get("email") or ""}
    if operation == "INSERT":
        return _("invited %(email)s") % address, ("role", "expires_at")
    return (_("accepted an invitation") if new.get("accepted_at") else _("withdrew an invitation")), ()


def _apikey(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    key = {"name": new.get("name") or names.keys.get(row_id) or _("an old key")}
    if operation == "INSERT":
        return _("created the API key “%(name)s”") % key, ("scopes", "expires_at")
    if new.get("revoked_at"):
        return _("revoked the API key “%(name)s”") % key, ()
    return _("changed the API key “%(name)s”") % key, ("scopes", "expires_at", "name")


def _override(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    name = new.get("name") or old.get("name") or names.overrides.get(row_id, "")
    what = {"name": _limit(name, names)}
    if operation == "INSERT":
        return _("set a limit of this tenant’s own for %(name)s") % what, ("limit", "valid_from", "valid_until", "mode")
    if new.get("revoked_at"):
        return _("ended the override of %(name)s") % what, ()
    return _("changed the override of %(name)s") % what, ("limit", "valid_from", "valid_until", "mode")


def _limit(name: str, names: Names) -> str:
    """What a limit counts: a meter's name, or calls in a window."""
    return names.meters.get(name) or (_("calls per %(window)s") % {"window": name} if name else _("a limit"))


def _tenant(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    if operation == "INSERT":
        return _("created the tenant"), ("name", "time_zone", "currency")
    if "state" in new:
        verbs = {
            TenantState.ACTIVE: _("resumed the tenant"),
            TenantState.SUSPENDED: _("suspended the tenant"),
            TenantState.CLOSED: _("closed the tenant"),
        }
        return verbs.get(new["state"], _("changed the tenant’s state")), ("state_reason",)
    if "tier_id" in new:
        return _("changed the plan"), ("tier_id",)
    return _("changed the tenant’s settings"), ("name", "time_zone", "currency", "contact_email")


def _block(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    if operation == "INSERT":
        return _("began to refuse calls"), ("detail", "until")
    return (
        (_("lifted the refusal of calls"), ())
        if new.get("lifted_at")
        else (_("changed the refusal of calls"), ("detail", "until"))
    )


def _budget(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    budget = {"name": new.get("name") or old.get("name") or names.budgets.get(row_id) or _("a budget")}
    verbs = {
        "INSERT": _("set the budget “%(name)s”"),
        "UPDATE": _("changed the budget “%(name)s”"),
        "DELETE": _("deleted the budget “%(name)s”"),
    }
    return verbs[operation] % budget, ("amount", "is_active", "muted_until") if operation == "UPDATE" else ("amount",)


def _threshold(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    at = new.get("percent") or old.get("percent")
    share = {"percent": formats.percent(at) if at else ""}
    verbs = {
        "INSERT": _("added a budget warning at %(percent)s"),
        "UPDATE": _("changed who hears of a budget warning"),
        "DELETE": _("took away the budget warning at %(percent)s"),
    }
    return verbs[operation] % share, ("recipients",)


def _request(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    name = new.get("name") or old.get("name") or ""
    what = {"name": _limit(name, names)}
    if operation == "INSERT":
        return _("asked for more %(name)s") % what, ("asked", "justification")
    verbs = {
        "approved": _("granted a request for more"),
        "denied": _("denied a request for more"),
        "withdrawn": _("withdrew a request for more"),
    }
    return verbs.get(str(new.get("state")), _("changed a request for more")), ("granted", "decision_reason")


def _invoice(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    number = {"number": new.get("number") or old.get("number") or ""}
    if operation == "INSERT":
        return _("began the draft of an invoice"), ()
    verbs = {
        "issued": _("issued the invoice %(number)s"),
        "paid": _("marked the invoice as paid"),
        "void": _("voided the invoice"),
    }
    said = verbs.get(str(new.get("state")), _("changed an invoice")) % number
    return said, ("total", "void_reason") if new.get("void_reason") or new.get("state") == "issued" else ()


def _reservation(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    what = {"gpus": names.reservations.get(row_id) or _("GPUs")}
    if operation == "INSERT":
        return _("reserved %(gpus)s") % what, ("fraction", "expected_seconds", "estimate", "labels")
    verbs = {
        ReservationState.SETTLED: _("gave back %(gpus)s: the job has ended"),
        ReservationState.CANCELLED: _("cancelled the reservation of %(gpus)s"),
        ReservationState.RELEASED: _("released the reservation of %(gpus)s"),
        ReservationState.LAPSED: _("let the reservation of %(gpus)s lapse: nothing was heard of its job"),
    }
    if "state" in new:
        return verbs.get(new["state"], _("changed the reservation of %(gpus)s")) % what, ("ended_at",)
    if "expected_seconds" in new:
        return _("extended the reservation of %(gpus)s") % what, ("expected_seconds", "estimate")
    return _("changed the reservation of %(gpus)s") % what, ()


def _assignment(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    if operation == "INSERT":
        return _("assigned a GPU to this tenant"), ("fraction", "starts_at", "ends_at")
    return _("changed until when a GPU is assigned to this tenant"), ("ends_at",)


def _owner_rule(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    verbs = {
        "INSERT": _("set a rule by which GPU processes count as this tenant’s"),
        "UPDATE": _("changed a rule by which GPU processes count as this tenant’s"),
        "DELETE": _("took away a rule by which GPU processes count as this tenant’s"),
    }
    return verbs[operation], ("pattern", "node")


def _webhook(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    where = {"url": new.get("url") or old.get("url") or names.webhooks.get(row_id) or _("a former address")}
    if operation == "INSERT":
        return _("added the webhook %(url)s") % where, ("event_types",)
    if operation == "DELETE":
        return _("removed the webhook %(url)s") % where, ()
    if "secret" in new:
        return _("rotated the signing secret of the webhook %(url)s") % where, ()
    return _("changed the webhook %(url)s") % where, ("url", "event_types", "is_active")


def _billing_profile(
    operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names
) -> Sentence:
    return _("changed whom invoices are made out to"), ("legal_name",)


def _own_book(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    if operation == "INSERT":
        return _("gave this tenant prices of its own"), ("starts_at", "ends_at")
    return _("changed until when this tenant has prices of its own"), ("ends_at",)


def _credit_note(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    return _("issued the credit note %(number)s") % {"number": new.get("number") or ""}, ("total",)


def _payment(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    return _("booked a payment"), ("amount",)


def _gap_share(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    if operation == "INSERT":
        return _("noted a gap in the readings"), ("starts_at", "ends_at")
    if new.get("decision"):
        return _("decided how a gap in the readings is billed"), ("reason",)
    return _("noted more of a gap in the readings"), ("starts_at", "ends_at")


def _gpus(gpus: int, model: str) -> str:
    return f"{gpus} × {model}"


def _visit(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    if operation == "INSERT":
        return _("began to look at this portal as %(role)s, read-only") % {"role": _role(new.get("role"))}, ("ends_at",)
    return _("ended the look at this portal"), ()


_TABLES: dict[str, Callable[[str, Mapping[str, Any], Mapping[str, Any], str, Names], Sentence]] = {
    "tenants_membership": _membership,
    "tenants_invitation": _invitation,
    "tenants_apikey": _apikey,
    "tenants_override": _override,
    "tenants_tenant": _tenant,
    "tenants_tenantblock": _block,
    "tenants_quotarequest": _request,
    "tenants_visit": _visit,
    "metering_budget": _budget,
    "metering_budgetthreshold": _threshold,
    "metering_invoice": _invoice,
    "metering_reservation": _reservation,
    "metering_gpuassignment": _assignment,
    "metering_gpuownerrule": _owner_rule,
    "metering_webhookendpoint": _webhook,
    "metering_billingprofile": _billing_profile,
    "metering_tenantpricebook": _own_book,
    "metering_creditnote": _credit_note,
    "metering_payment": _payment,
    "metering_gapshare": _gap_share,
}


def _changes(entry: AuditEntry, shown: tuple[str, ...], tenant: Tenant, names: Names) -> list[Change]:
    old, new = entry.old or {}, entry.new or {}
    found = []
    for name in shown:
        before, after = old.get(name), new.get(name)
        if name not in old and name not in new:
            continue
        if entry.operation != "UPDATE" and after in (None, "", []) and name != "limit":
            continue  # not said; an empty limit says "unlimited"
        written = _value(name, after, tenant, names)
        found.append(
            Change(_label(name), _value(name, before, tenant, names) if entry.operation == "UPDATE" else "", written)
        )
    return found


def _label(column: str) -> str:
    labels = {
        "role": _("Role"), "scopes": _("Scopes"), "expires_at": _("Expires"), "limit": _("Limit"), "valid_from": _("From"), "valid_until": _("Until"),
        "mode": _("Mode"), "name": _("Name"), "time_zone": _("Time zone"), "currency": _("Currency"), "contact_email": _("Contact"), "tier_id": _("Plan"),
        "state_reason": _("Reason"), "detail": _("Detail"), "until": _("Until"), "amount": _("Amount"), "is_active": _("Active"), "muted_until": _("Muted until"),
        "recipients": _("Recipients"), "total": _("Total"), "void_reason": _("Reason"), "asked": _("Asked for"), "justification": _("Justification"), "granted": _("Granted"), "decision_reason": _("Reason"),
        "ends_at": _("At most until"), "starts_at": _("From"), "ended_at": _("Held until"), "fraction": _("Part of each GPU"), "expected_seconds": _("Expected to take"),
        "estimate": _("Estimate"), "reason": _("Reason"), "labels": _("Labels"), "url": _("Address"), "event_types": _("Events"), "pattern": _("Pattern"), "node": _("Node"), "legal_name": _("Made out to"),
    }  # fmt: skip
    return labels.get(column, column.replace("_", " "))


def _value(column: str, value: Any, tenant: Tenant, names: Names) -> str:
    if value is None:
        return {"limit": _("unlimited"), "expires_at": _("never"), "valid_until": _("for good")}.get(column, "–")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if column == "role":
        return _role(value)
    if column == "tier_id":
        return names.tiers.get(str(value), str(value))
    if column == "scopes":
        return ", ".join(str(Scope(scope).label) if scope in Scope.values else str(scope) for scope in value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "–"
    if column == "expected_seconds":
        return _("%(number)s hours") % {"number": formats.number(Decimal(str(value)) / 3600)}
    if column == "fraction":
        return formats.percent(Decimal(str(value)) * 100)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in sorted(value.items())) or "–"
    if column in {"amount", "total", "estimate"}:
        return formats.money(Decimal(str(value)), tenant.currency)
    if column in {"limit", "asked", "granted"}:
        return _number(value)
    moment = parse_datetime(value) if isinstance(value, str) and "T" in value[:20] else None
    return formats.moment(moment, tenant.time_zone) if moment is not None and moment.tzinfo else str(value)


def _number(value: Any) -> str:
    try:
        return formats.number_exact(Decimal(str(value)))
    except InvalidOperation:
        return str(value)


def _role(value: Any) -> str:
    return str(Role(value).label) if value in Role.values else str(value)
