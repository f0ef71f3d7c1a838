"""The first steps of a new tenant: what is done, what is next, and snippets to copy that fit the tenant."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext as _

from metering.ledger.evidence import CALLS
from tenants.access import Access
from tenants.models import Role


@dataclass(frozen=True)
class Step:
    """One thing to do. `url` leads to where it is done; `snippets` are (name, text) to copy."""

    title: str
    text: str
    done: bool
    url: str = ""
    label: str = ""
    snippets: tuple[tuple[str, str], ...] = ()


def of(access: Access) -> list[Step]:
    """The steps, for those who manage the tenant; none when all are done or the reader has hidden them. One query."""
    if not access.can(Role.OWNER, Role.ADMIN) or access.read_only:
        return []
    tenant = access.tenant
    with connection.cursor() as cursor:
        cursor.execute(_STATE, {"tenant": tenant.pk, "member": access.membership.pk, "calls": CALLS})
        hidden, key, call, event, people, budget = cursor.fetchone()
    if hidden or all((key, call, event, people, budget)):
        return []

    def page(name: str) -> str:
        return reverse(f"web:{name}", args=[tenant.slug])

    return [
        Step(_("Create an API key"), _("Programs call the platform with it. It is shown once."), key, page("key-create"), _("Create key")),
        Step(_("Make the first call"), _("Ask who you are: the answer names the key and what it may do."), call, snippets=_calls(tenant.slug)),
        Step(_("Send the first usage event"), _("What your services have done, so that it is counted and priced. The key needs the scope “usage:write”."), event, snippets=_events(tenant.slug)),
        Step(_("Invite somebody"), _("A second owner keeps you from being locked out."), people, page("member-add"), _("Invite")),
        Step(_("Set a budget"), _("You are told at 80, 90 and 100 percent, before it hurts."), budget, page("budget-create"), _("Set a budget")),
    ]  # fmt: skip


def _calls(slug: str) -> tuple[tuple[str, str], ...]:
    site, key = settings.SITE_URL, f"gpk_{settings.API_KEY_ENV}_{slug}_…"
    curl = f'curl -H "Authorization: Bearer {key}" {site}/api/v1/me'
    python = f'# pip install ./clients/python\nfrom aurelius.client import Client\n\nclient = Client("{site}", "{key}")\nprint(client.get("me"))'
    asgi = (
        "# pip install ./clients/python\nfrom aurelius import AsyncHttpDecider\nfrom aurelius.middleware import AureliusMiddleware\n"
        "from fastapi import FastAPI\n\napp = FastAPI()\n"
        'app.add_middleware(AureliusMiddleware, decider=AsyncHttpDecider("http://decision:9000"))  # the platform’s decision endpoint\n'
        f"# callers send: Authorization: Bearer {key}"
    )
    return (("curl", curl), ("Python", python), ("FastAPI", asgi))


def _events(slug: str) -> tuple[tuple[str, str], ...]:
    site, key = settings.SITE_URL, f"gpk_{settings.API_KEY_ENV}_{slug}_…"
    body = (
        '{"specversion": "1.0", "source": "ml", "id": "first", "type": "gpu_hours",\n'
        """       "time": "'$(date -u +%Y-%m-%dT%H:%M:%SZ)'", "data": {"quantity": "0.5", "model": "H100"}}"""
    )
    curl = (
        f'curl -H "Authorization: Bearer {key}" -H "Content-Type: application/cloudevents+json" \\\n'
        f"  -d '{body}' \\\n  {site}/api/v1/events"
    )
    return (("curl", curl),)


_STATE = """
    SELECT EXISTS (SELECT FROM metering_hiddenchecklist WHERE membership_id = %(member)s),
           EXISTS (SELECT FROM tenants_apikey WHERE tenant_id = %(tenant)s),
           EXISTS (SELECT FROM tenants_apikey WHERE tenant_id = %(tenant)s AND last_used_at IS NOT NULL),
           -- Also where events lie in ClickHouse, which no page should wait for: their hours are marked, then rolled up.
           EXISTS (SELECT FROM metering_eventidentity WHERE tenant_id = %(tenant)s)
               OR EXISTS (SELECT FROM metering_dirtyhour WHERE tenant_id = %(tenant)s AND meter <> %(calls)s)
               -- Some meter is another one: the first and the last are at the ends of the index. An EXISTS would walk the table.
               OR COALESCE((SELECT min(meter) <> %(calls)s OR max(meter) <> %(calls)s FROM metering_usagerollup
                            WHERE tenant_id = %(tenant)s), false),
           (SELECT count(*) > 1 FROM tenants_membership WHERE tenant_id = %(tenant)s AND removed_at IS NULL)
               OR EXISTS (SELECT FROM tenants_invitation WHERE tenant_id = %(tenant)s AND revoked_at IS NULL),
           EXISTS (SELECT FROM metering_budget WHERE tenant_id = %(tenant)s AND is_active)
"""
