"""How long what is owed waits until it is sent. prometheus_client only."""

from __future__ import annotations

from prometheus_client import Histogram

WAITED = Histogram(
    "portal_outbox_wait_seconds",
    "From the moment an e-mail or a webhook message is owed until it is delivered.",
    ["outbox"],
    buckets=(1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400),
)
