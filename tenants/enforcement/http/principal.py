"""Who a request acts for, as its credential says and nothing else: no forwarded header ever changes it."""

from __future__ import annotations

from dataclasses import dataclass

from ...decisions import Decision
from ..deciding.known import Known
from ..protocol.keys import PLATFORM
from ..protocol.wire import scope_names


@dataclass(frozen=True, slots=True)
class Principal:
    """The verified holder of an API key or operator token.

    `tenant_slug` and `tenant_id` are the key's only tenant; an operator (`is_operator`) belongs to none and reaches all.
    `key_id` is the id inside the key text, `subject` whose windows count.
    """

    key_id: str
    subject: str
    scopes: frozenset[str]
    tenant_slug: str = ""
    tenant_id: int = 0
    is_operator: bool = False

    def has(self, scope: str) -> bool:
        return scope in self.scopes

    @property
    def actor(self) -> str:
        """How the audit trail names it, as `tenants.api.callers` does."""
        return f"token:{self.key_id}" if self.is_operator else f"key:{self.key_id}"


def principal_of(known: Known, decision: Decision) -> Principal:
    """Who a key that has just been verified stands for."""
    credential = known.credential
    assert known.is_key  # noqa: S101 - without a key nobody is anybody
    scopes = scope_names(decision.scopes)
    if credential.slug == PLATFORM:
        return Principal(credential.key_id, known.subject, scopes, is_operator=True)
    return Principal(credential.key_id, known.subject, scopes, credential.slug, decision.tenant_id)
