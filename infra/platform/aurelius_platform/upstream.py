"""Calls between the services: one client per peer, traced, with the caller's header."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import httpx

from . import tracing
from .accounts import Caller, Internal
from .config import Config
from .web import away

log = logging.getLogger(__name__)
TIMEOUT = httpx.Timeout(10.0, connect=2.0)
"""Seconds that a peer may be silent: whoever waits for the answer waits as long."""


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
        """The answer, whatever its status. Raises 504 service_timeout or 502 service_unavailable when there is none."""
        headers = {**(more_headers or {}), **self._internal.header(caller)}
        try:
            return await self._client.request(method, path, headers=headers, **options)
        except httpx.HTTPError as error:
            log.warning("%s does not answer %s %s: %r", self.name, method, path, error)
            if isinstance(error, httpx.TimeoutException):
                raise away(
                    504, "service_timeout", f"The service {self.name} takes too long: try again later."
                ) from None
            raise away(
                502, "service_unavailable", f"The service {self.name} does not answer: try again later."
            ) from None

    async def close(self) -> None:
        await self._client.aclose()
