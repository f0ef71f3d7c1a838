"""Calls between the services: one client per peer, traced, with the caller's header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from . import tracing
from .accounts import Caller, Internal
from .config import Config

TIMEOUT = 30.0


class Upstream:
    """One service as another one calls it."""

    def __init__(self, config: Config, name: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` stands for the network in tests."""
        self.name = name
        self._internal = Internal(config.secret)
        self._client = httpx.AsyncClient(
            base_url=config.urls[name],
            timeout=TIMEOUT,
            transport=transport,
            trust_env=False,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
        )
        tracing.of_client(self._client, name)

    async def call(
        self, method: str, path: str, caller: Caller, more_headers: Mapping[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """The answer, whatever its status. Raises httpx.HTTPError when there is none."""
        headers = {**(more_headers or {}), **self._internal.header(caller)}
        return await self._client.request(method, path, headers=headers, **options)

    async def close(self) -> None:
        await self._client.aclose()
