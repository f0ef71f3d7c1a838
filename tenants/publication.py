"""Telling enforcement what changed, after the change is committed."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from .enforcement import policy


def publish_after_commit(tenant_id: int) -> None:
    """Publish the tenant's policy and keys when the transaction commits.

    A Redis that is away does not undo the change: the periodic reconciliation publishes what was missed.
    """
    transaction.on_commit(partial(policy.publish, tenant_id), robust=True)


def publish_operators_after_commit() -> None:
    """The same for operator tokens, which live beside the tenants."""
    transaction.on_commit(policy.publish_operators, robust=True)
