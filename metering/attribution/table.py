"""The mapping table of the operators, as a node's collectors use it."""

from __future__ import annotations

from metering.models import GpuOwnerRule

from .steps import Rule


def in_force(node: str) -> list[Rule]:
    """The rules that hold on a node, in the order in which they are tried."""
    rows = GpuOwnerRule.objects.filter(node__in=["", node]).order_by("position", "pk")
    return [Rule(fact, pattern, slug) for fact, pattern, slug in rows.values_list("fact", "pattern", "tenant__slug")]
