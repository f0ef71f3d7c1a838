"""Who may do how much: tenants, their people, keys, tiers, limits, and the trail of every change."""

from .apikey import ApiKey, OperatorToken
from .audit import AuditEntry
from .block import TenantBlock
from .grant_rule import GrantRule
from .idempotency import IdempotencyRecord
from .invitation import Invitation
from .membership import Membership, Role
from .override import LimitKind, Override
from .period import BillingPeriod
from .pulse import Pulse
from .quota_request import QuotaRequest, QuotaRequestState
from .refused_hour import RefusedBy, RefusedHour
from .tenant import Tenant, TenantState
from .tier import QuotaMode, Tier, TierQuota, TierRateLimit, Window
from .tier_history import TierHistory
from .user import User
from .visit import Visit

__all__ = [
    "ApiKey", "AuditEntry", "BillingPeriod", "GrantRule", "IdempotencyRecord", "Invitation", "LimitKind", "Membership", "OperatorToken", "Override",
    "Pulse", "QuotaMode", "QuotaRequest", "QuotaRequestState", "RefusedBy", "RefusedHour", "Role", "Tenant", "TenantBlock", "TenantState", "Tier", "TierHistory", "TierQuota", "TierRateLimit", "User", "Visit", "Window",
]  # fmt: skip
