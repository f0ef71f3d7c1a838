"""Usage events as a producer would send them."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def event(id: str, time: datetime | str, quantity: Any = 1, type: str = "gpu_seconds", **data: Any) -> dict[str, Any]:
    """A CloudEvent from /gpu/node-1; further keyword arguments are dimensions (or `corrects`)."""
    written = time if isinstance(time, str) else time.isoformat()
    return {
        "specversion": "1.0",
        "id": id,
        "source": "/gpu/node-1",
        "type": type,
        "time": written,
        "data": {"quantity": quantity, **data},
    }
