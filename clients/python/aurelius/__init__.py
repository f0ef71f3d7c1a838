"""Client of the Aurelius Portal: decisions, usage events, reservations. See README.md and docs/sdk.md."""

from .aio import AsyncClient, AsyncReserving, areserve
from .client import Client, Problem, Refused, Unavailable
from .deciders import AsyncHttpDecider, AsyncRedisDecider, HttpDecider, RedisDecider
from .decisions import AsyncDecider, Decider, Decision, DecisionUnavailableError
from .events import Events, event_id
from .reservations import Estimate, Reservation, Reserving, reserve
from .spool import Spool, SpoolBusyError, SpoolFullError

__all__ = [
    "Client", "AsyncClient", "Problem", "Refused", "Unavailable",
    "Decision", "Decider", "AsyncDecider", "DecisionUnavailableError",
    "HttpDecider", "AsyncHttpDecider", "RedisDecider", "AsyncRedisDecider",
    "Events", "event_id", "Spool", "SpoolBusyError", "SpoolFullError",
    "reserve", "areserve", "Reserving", "AsyncReserving", "Reservation", "Estimate",
]  # fmt: skip
