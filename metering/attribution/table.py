"""The mapping table of the operators: as a node's collectors use it, and how its lines are set."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from metering.models import GpuOwnerRule
from tenants.audit import acting
from tenants.models import Tenant, TenantState
from tenants.problems import invalid

from .steps import Rule


def in_force(node: str) -> list[Rule]:
    """The rules that hold on a node, in the order in which they are tried."""
    rows = GpuOwnerRule.objects.filter(node__in=["", node]).order_by("position", "pk")
    return [Rule(fact, pattern, slug) for fact, pattern, slug in rows.values_list("fact", "pattern", "tenant__slug")]


def set_rule(
    fact: str, pattern: str, tenant: Tenant, *, node: str = "", position: int, actor: str, reason: str
) -> tuple[GpuOwnerRule, GpuOwnerRule | None]:
    """The rule for this fact, pattern and node ("": every node) as it is now, and as it was before (None: it is new).

    Raises Invalid for a value that cannot be, and for a tenant that is closed: nothing could be billed to it.
    """
    if tenant.state == TenantState.CLOSED:
        raise invalid("tenant", f"The tenant “{tenant.slug}” is closed.", "closed")
    before = GpuOwnerRule.objects.select_related("tenant").filter(fact=fact, pattern=pattern, node=node).first()
    rule = GpuOwnerRule(pk=before.pk if before else None, fact=fact, pattern=pattern, node=node)
    rule.tenant, rule.position = tenant, position
    if before:
        rule.created_at = before.created_at
    try:
        rule.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        column, messages = next(iter(error.message_dict.items()))
        raise invalid(column, " ".join(messages)) from None
    if before is None or (before.tenant_id, before.position) != (tenant.pk, position):
        with acting(actor, reason):
            rule.save(force_insert=before is None)
    return rule, before
