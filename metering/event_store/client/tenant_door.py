"""One tenant's way into ClickHouse. There is no row security of ours there: this door is the wall.

ClickHouse itself adds `tenant_id = …` to every reading of the ledger's tables in a statement that comes through here
(`additional_table_filters`), whatever the statement says or forgets; the store asks for tenants' rows through it only.
"""

from __future__ import annotations

from typing import Any

from .base import Client, Params

TABLES = ("usage_event", "event_identity")


class TenantDoor:
    """Reads for one tenant."""

    def __init__(self, client: Client, tenant_id: int) -> None:
        self._client = client
        self._tenant_id = int(tenant_id)

    def rows(self, sql: str, params: Params | None = None) -> list[list[Any]]:
        """Rows of a SELECT over the ledger's tables, this tenant's only. It may use {tenant:Int64}."""
        mine = f"tenant_id = {self._tenant_id}"
        walls = ", ".join(f"'{self._client.database}.{table}': '{mine}'" for table in TABLES)
        walled = (
            f"SELECT * FROM ({sql}) SETTINGS additional_table_filters = {{{walls}}}, "  # noqa: S608  (numbers and our own names)
            "do_not_merge_across_partitions_select_final = 1"
        )
        return self._client.rows(walled, {**(params or {}), "tenant": self._tenant_id})
