"""Who hits limits most, in words: one row for each user or service key, with its refused calls of a day and a week."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.access import Access
from tenants.limiting import refused_calls
from tenants.limiting.refused_calls import Refused
from tenants.models import Role
from tenants.models.refused_hour import RefusedBy

from ..drawing.components import share
from ..writing import formats


def rows(access: Access, now: datetime) -> list[dict[str, Any]]:
    """The rows that the reader may see: a member only the own one. One query."""
    own = access.membership.pk if access.role == Role.MEMBER else None
    found = refused_calls.most_refused(access.tenant, now, member_id=own)
    most = max((each.week for each in found), default=0)
    return [_row(each, most, access) for each in found]


def _row(refused: Refused, most: int, access: Access) -> dict[str, Any]:
    usage = reverse("web:usage", args=[access.tenant.slug])
    return {
        "who": refused.person or refused.key_name or refused.key_id,
        "kind": _("all keys of this person") if refused.person else _("service key"),
        "limit": RefusedBy(refused.by).label,
        "bar_label": _("%(count)s refused in 7 days") % {"count": formats.number(refused.week)},
        "day": formats.number(refused.day),
        "week": formats.number(refused.week),
        "percent": share(Decimal(refused.week), Decimal(most)),
        "last": refused.last,
        "usage_url": f"{usage}?meter=api_calls&range=7d&granularity=hour&group_by={'user' if refused.person else 'api_key'}",
    }
