"""May this call go ahead? The public verbs of enforcement, and nothing else of it, are imported from here.

    consume(key_text, …)  decide a call and count it when granted      check(key_text, …)  the same without counting
    usage(slug)           what Redis counts for a tenant this month    readiness()         None, or why Redis cannot be used
    reconcile(now)        bring Redis in line with the database        flush(now)          hand Redis's counts to the ledger
    gpu_holds(slug, month)    reserve GPUs before a job starts, and say what became of them
    away()                    the masters of a cluster that do not answer

Everything is loaded when it is first used: doors without Django live in this package too. From doors to bytes:

    middleware, asgi, decision, verbs   the doors            engine, http   this process's enforcer; answers and the endpoint
    deciding   the decision                                  publishing     from the database to Redis
    counting   on the way to the bill                        holds          GPUs held by jobs
    redis      connections                                   protocol       what Python and the Lua scripts share
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .verbs import away, check, consume, flush, gpu_holds, readiness, reconcile, usage

__all__ = ["away", "check", "consume", "flush", "gpu_holds", "readiness", "reconcile", "usage"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import verbs

        return getattr(verbs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
