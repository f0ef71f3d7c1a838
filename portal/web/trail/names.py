"""Who and what the ids of one page of the trail stand for, in a query for each kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from metering.models import Budget, Meter, Reservation, WebhookEndpoint
from tenants.models import ApiKey, AuditEntry, Membership, Override, Tenant, Tier, User


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


def names_of(rows: list[AuditEntry], tenant: Tenant) -> Names:
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


def _gpus(gpus: int, model: str) -> str:
    return f"{gpus} × {model}"
