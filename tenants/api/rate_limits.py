"""/tenants/{slug}/rate-limits[/{window}]: calls per user in the last minute, hour and day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..decisions import WindowState
from ..enforcement.errors import RedisUnavailableError
from ..limiting import live, overrides
from ..limits import WINDOWS
from ..models import LimitKind
from ..models.apikey import Scope
from ..problems import ProblemError
from . import limits
from .documentation import example, operation
from .fields import StrictText
from .serializers import QuerySerializer
from .views import OPERATOR, TenantView

TAGS = ["Limits"]


class RateLimitSerializer(limits.LimitSerializer):
    """A window and what one user has left in it."""

    window = serializers.ChoiceField(choices=list(WINDOWS))
    seconds = serializers.IntegerField(help_text="Length of the window; it slides.")
    subject = serializers.CharField(
        allow_null=True, help_text="The user whose calls `used` and `remaining` tell; null when nobody's."
    )
    used = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True, help_text="When the oldest counted call leaves the window.")


class RateLimitListSerializer(serializers.Serializer[Any]):
    """All windows, narrowest first."""

    results = RateLimitSerializer(many=True)


class SubjectQuery(QuerySerializer):
    """Whose live counts to show."""

    subject = StrictText(
        required=False,
        max_length=8,
        min_length=8,
        help_text="First 8 characters of a key's id. A key sees its own user, and nobody else's.",
    )


_EXAMPLE = {
    "window": "minute", "seconds": 60, "limit": 120, "source": "override", "tier": "standard", "shadow": False,
    "valid_until": "2026-08-01T00:00:00Z", "reason": "Migration week", "subject": "k5jq2v7m", "used": 3, "remaining": 117,
    "resets_at": "2026-07-15T12:00:42Z", "scheduled": [],
    "override": {
        "id": 7, "limit": 120, "mode": None, "reason": "Migration week", "valid_from": "2026-07-15T00:00:00Z",
        "valid_until": "2026-08-01T00:00:00Z", "created_at": "2026-07-14T09:00:00Z",
    },
}  # fmt: skip


class _RateLimits(TenantView):
    """What the list and the single window share."""

    def describe(self, *names: str) -> list[dict[str, Any]]:
        """The windows as RateLimitSerializer shows them."""
        now = timezone.now()
        policy = overrides.effective_policy(self.tenant, now)
        rows = limits.own_overrides(self.tenant, LimitKind.RATE_LIMIT)
        subject = self._subject()
        used = self._live(subject)
        return [
            limits.described(self.tenant, policy.window(name), rows, now)
            | {"window": name, "seconds": WINDOWS[name].seconds, "subject": subject}
            | _counts(used, name, now)
            for name in names
        ]

    def _subject(self) -> str | None:
        if self.caller.kind == "key":
            return self.caller.key_id[:8]
        if self.membership is not None:
            return self.membership.subject
        return self.params.get("subject")

    def _live(self, subject: str | None) -> Mapping[str, WindowState] | None:
        if subject is None:
            return None
        try:
            return live.windows_of(self.tenant.slug, subject)
        except RedisUnavailableError:
            return None  # limits can be read without the live counts


class RateLimitsView(_RateLimits):
    """All windows of the tenant."""

    needs = {"GET": Scope.QUOTA_READ}
    queries = {"GET": SubjectQuery}

    @operation(
        "rate_limits_list", "List rate limits", query=SubjectQuery, answer=RateLimitListSerializer, tags=TAGS,
        examples=[example("All windows", {"results": [_EXAMPLE]})],
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """The limits in force for each user of the tenant, where they come from, and what the calling user has left."""
        return Response(RateLimitListSerializer({"results": self.describe(*WINDOWS)}).data)


class RateLimitView(_RateLimits):
    """One window of the tenant."""

    needs = {"GET": Scope.QUOTA_READ, "PUT": OPERATOR, "PATCH": OPERATOR, "DELETE": OPERATOR}
    queries = {"GET": SubjectQuery, "DELETE": limits.ReasonQuery}

    def find_tenant(self, **kwargs: Any) -> None:
        super().find_tenant(**kwargs)
        if kwargs["window"] not in WINDOWS:
            raise ProblemError("not_found")

    @operation(
        "rate_limits_retrieve", "Read a rate limit", query=SubjectQuery, answer=RateLimitSerializer, tags=TAGS,
        examples=[example("Overridden for a while", _EXAMPLE)],
    )  # fmt: skip
    def get(self, request: Request, slug: str, window: str) -> Response:
        """The limit in force, its source, and what the calling user has left."""
        return self._answer(window)

    @operation(
        "rate_limits_set", "Override a rate limit", request=limits.WindowOverrideSerializer, answer=RateLimitSerializer, tags=TAGS,
        problems=["operator_required"],
        examples=[
            example("For a while", {"limit": 120, "reason": "Migration week", "valid_until": "2026-08-01T00:00:00Z"}, request=True),
            example("In force", _EXAMPLE),
        ],
    )  # fmt: skip
    def put(self, request: Request, slug: str, window: str) -> Response:
        """For operators. In force on the next call, in every process."""
        limits.put(self.tenant, LimitKind.RATE_LIMIT, window, self.body(limits.WindowOverrideSerializer), self.caller)
        return self._answer(window)

    @operation(
        "rate_limits_change", "Change a rate limit's override", request=limits.WindowOverrideSerializer, answer=RateLimitSerializer,
        tags=TAGS, problems=["operator_required"], examples=[example("Another limit", {"limit": 90, "reason": "Migration week"}, request=True)],
    )  # fmt: skip
    def patch(self, request: Request, slug: str, window: str) -> Response:
        """For operators. Members that are left out keep what the present override (or the tier) says."""
        values = self.body(limits.WindowOverrideSerializer, partial=True)
        limits.patch(self.tenant, LimitKind.RATE_LIMIT, window, values, self.caller, timezone.now())
        return self._answer(window)

    @operation(
        "rate_limits_clear", "Remove a rate limit's overrides", query=limits.ReasonQuery, status=204, tags=TAGS,
        problems=["operator_required"],
    )  # fmt: skip
    def delete(self, request: Request, slug: str, window: str) -> Response:
        """For operators. The tier's limit is in force on the next call; overrides that would start later are removed too."""
        limits.delete(self.tenant, LimitKind.RATE_LIMIT, window, self.params["reason"], self.caller)
        return Response(status=204)

    def _answer(self, window: str) -> Response:
        return Response(RateLimitSerializer(self.describe(window)[0]).data)


def _counts(used: Mapping[str, WindowState] | None, name: str, now: datetime) -> dict[str, Any]:
    state = used.get(name) if used else None
    if state is None:
        return {"used": None, "remaining": None, "resets_at": None}
    resets_at = (now + timedelta(milliseconds=state.resets_in_ms)).astimezone(UTC)
    return {
        "used": state.limit - state.left,
        "remaining": state.left,
        "resets_at": resets_at if state.limit > state.left else None,
    }
