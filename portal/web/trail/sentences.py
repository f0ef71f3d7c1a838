"""One sentence for each kind of change, and which of its values are worth showing below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from metering.models import ReservationState
from tenants.models import AuditEntry, TenantState

from ..writing import formats
from .names import Names
from .values import role_label

Sentence = tuple[str, tuple[str, ...]]
"""What happened, and the columns whose values are worth showing below."""


def sentence_of(entry: AuditEntry, names: Names) -> Sentence:
    """What the entry says; of a table that nobody has written a sentence for, what its name says."""
    describe = TABLES.get(entry.table_name)
    if describe is None:
        what = entry.table_name.partition("_")[2].replace("_", " ")
        verb = {"INSERT": _("added"), "UPDATE": _("changed"), "DELETE": _("deleted")}[entry.operation]
        return f"{verb} {what}", ()
    return describe(entry.operation, entry.old or {}, entry.new or {}, entry.row_id, names)


def _membership(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    person = {"name": names.members.get(row_id) or names.users.get(str(new.get("user_id"))) or _("a former member")}
    if operation == "INSERT":
        return _("added %(name)s as %(role)s") % {**person, "role": role_label(new.get("role"))}, ()
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


def _visit(operation: str, old: Mapping[str, Any], new: Mapping[str, Any], row_id: str, names: Names) -> Sentence:
    if operation == "INSERT":
        return _("began to look at this portal as %(role)s, read-only") % {"role": role_label(new.get("role"))}, (
            "ends_at",
        )
    return _("ended the look at this portal"), ()


TABLES: dict[str, Callable[[str, Mapping[str, Any], Mapping[str, Any], str, Names], Sentence]] = {
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
