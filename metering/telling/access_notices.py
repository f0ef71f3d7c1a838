"""Who got in, and who looked: told to a tenant's owners and admins."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models.signals import post_save

from metering.mail import wording
from metering.mail.digest import access_changed
from tenants.models import Membership, Visit

from . import notifications, recipients


def register() -> None:
    """Listen for visits. Called once, when the apps are ready."""
    post_save.connect(_visited, sender=Visit, dispatch_uid="access notices")


def joined(member: Membership, now: datetime) -> None:
    """Tell that somebody is a member now; not the newcomer. Runs in the caller's transaction."""
    tenant, user = member.tenant, member.user
    name = user.get_full_name() or user.get_username()
    headline = f"{name} is a member now"
    text = f"{name} has joined as {member.get_role_display().lower()}. If you did not expect it, remove the member and look at who invited them."
    letter = access_changed(tenant.name, tenant.slug, tenant.time_zone, headline, text, now)
    people = [each for each in recipients.of(tenant, recipients.MANAGERS) if each.lower() != user.email.lower()]
    notifications.owe(
        letter, key=f"joined:{member.pk}:{member.created_at:%Y%m%d%H%M%S}", recipients=people, tenant=tenant, now=now
    )


def _visited(sender: object, *, instance: Visit, created: bool, **_: Any) -> None:
    if not created:
        return
    tenant = instance.tenant
    headline = "The platform’s staff looks at your portal"
    until = wording.moment(instance.ends_at, tenant.time_zone)
    text = f"{instance.operator.get_username()} looks as {instance.get_role_display().lower()}, read-only, until {until} at most. Reason: {instance.reason}"
    letter = access_changed(tenant.name, tenant.slug, tenant.time_zone, headline, text, instance.started_at)
    people = recipients.of(tenant, recipients.MANAGERS)
    notifications.owe(letter, key=f"visit:{instance.pk}", recipients=people, tenant=tenant, now=instance.started_at)
