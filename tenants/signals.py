"""What other rooms want to hear of: a tenant's calls are refused or slowed down, or taken again.

Sent inside the transaction of the change, so that what a listener writes is kept exactly when the change is. Arguments: `tenant`, `now`,
`action` ("throttle", "block_gpu", "block", "suspended", "closed" or, for `resumed`, what ended), `code`, `reason`, `until` (or None).
"""

from __future__ import annotations

from django.dispatch import Signal

blocked = Signal()
resumed = Signal()

quota_asked = Signal()
quota_decided = Signal()
"""A tenant has asked for a higher limit; it was granted or denied. Arguments of both: `request` (a QuotaRequest with its tenant), `now`."""

tier_chosen = Signal()
"""A tenant is about to get a tier, a new tenant its first: whoever knows why it must not raises Invalid, and nothing is changed.
Whoever knows what its prices are in sets `currency` of a tenant that is free to change it.

Arguments: `tenant` (unsaved when it is new), `tier`, `now`."""
