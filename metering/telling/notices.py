"""What people are told, listed in the portal, and how the mails about it come: at once, once a day, or not at all.

Every mail to a tenant passes `route` (see notifications.owe): each addressee who is a member gets a notice, and a mail at once only if
they want it so. Addresses of nobody's membership (the contact address, a budget's listed recipients) are always written to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from metering.mail.rendering import Letter
from metering.models import Notice, NoticeChoice, NoticeKind, NoticePace
from tenants.models import Membership, Role, Tenant
from tenants.problems import invalid

MANDATORY = frozenset({NoticeKind.BUDGET, NoticeKind.INVOICE, NoticeKind.ACCESS})
"""Somebody has to hear of these: the last owner of a tenant cannot switch them off."""

_KINDS: Mapping[str, tuple[NoticeKind, str]] = {
    "budget-alert": (NoticeKind.BUDGET, "budget"),
    "budget-back-under": (NoticeKind.BUDGET, "budget"),
    "quota-alert": (NoticeKind.QUOTA, "quotas"),
    "spend-anomaly": (NoticeKind.ANOMALY, "budget"),
    "invoice-issued": (NoticeKind.INVOICE, "invoices"),
    "invoice-void": (NoticeKind.INVOICE, "invoices"),
    "credit-note-issued": (NoticeKind.INVOICE, "invoices"),
    "quota-request-decided": (NoticeKind.REQUEST, "quotas"),
    "quota-grant-ends": (NoticeKind.REQUEST, "quotas"),
    "gpu-idle": (NoticeKind.GPU, "gpus"),
    "gpu-release": (NoticeKind.GPU, "reservations"),
    "access-changed": (NoticeKind.ACCESS, "activity"),
}
"""Mail → what it is about, and the page that explains it. A mail that is not here is sent at once and not listed."""
_BUDGETS = (NoticeKind.BUDGET, NoticeKind.ANOMALY, NoticeKind.INVOICE)
_ROLES: Mapping[NoticeKind, tuple[Role, ...]] = {
    **dict.fromkeys(_BUDGETS, (Role.OWNER, Role.ADMIN, Role.BILLING)),
    NoticeKind.QUOTA: (Role.OWNER, Role.ADMIN),
    NoticeKind.REQUEST: (Role.OWNER, Role.ADMIN, Role.MEMBER),
    NoticeKind.GPU: (Role.OWNER, Role.ADMIN),
    NoticeKind.ACCESS: (Role.OWNER, Role.ADMIN),
}
"""Who is told of a kind at all."""


def kinds_for(role: Role) -> list[NoticeKind]:
    """The kinds that a person in that role is told of."""
    return [kind for kind in NoticeKind if role in _ROLES[kind]]


def route(letter: Letter, key: str, addresses: Iterable[str], tenant: Tenant, now: datetime) -> list[str]:
    """Write the notices of members among `addresses`; returns the addresses that get the mail at once. Runs in the caller's transaction."""
    everyone = list(addresses)
    if letter.kind not in _KINDS:
        return everyone
    kind, page = _KINDS[letter.kind]
    wanted = {address.lower() for address in everyone}
    members = [
        member
        for member in Membership.objects.filter(tenant=tenant, removed_at__isnull=True, user__is_active=True)
        .exclude(user__email="")
        .select_related("user")
        if member.user.email.lower() in wanted
    ]
    paces = paces_of(members, kind)
    Notice.objects.bulk_create(
        [
            Notice(
                tenant=tenant,
                membership=member,
                kind=kind,
                key=key[:120],
                title=letter.subject,
                page=page,
                created_at=now,
                mail_owed=paces[member.pk] == NoticePace.DAILY,
            )
            for member in members
        ],
        ignore_conflicts=True,
    )
    later = {member.user.email.lower() for member in members if paces[member.pk] != NoticePace.INSTANT}
    return [address for address in everyone if address.lower() not in later]


def paces_of(members: Iterable[Membership], kind: NoticeKind) -> dict[int, NoticePace]:
    """By membership, how mails of that kind come. The last owner's cannot be off where somebody has to hear of it."""
    rows = {member.pk: member for member in members}
    chosen = NoticeChoice.objects.filter(membership__in=list(rows), kind=kind).values_list("membership_id", "pace")
    found = dict.fromkeys(rows, NoticePace.INSTANT) | {pk: NoticePace(pace) for pk, pace in chosen}
    for pk, pace in found.items():
        if pace == NoticePace.OFF and kind in MANDATORY and is_last_owner(rows[pk]):
            found[pk] = NoticePace.INSTANT
    return found


def choices_of(member: Membership) -> dict[NoticeKind, NoticePace]:
    """What the member has chosen for each kind that their role is told of."""
    chosen = dict(NoticeChoice.objects.filter(membership=member).values_list("kind", "pace"))
    return {kind: NoticePace(chosen.get(kind, NoticePace.INSTANT)) for kind in kinds_for(Role(member.role))}


def choose(member: Membership, wanted: Mapping[NoticeKind, NoticePace]) -> None:
    """Keep how the member wants mails. Raises Invalid when the last owner would switch off what somebody has to hear of."""
    off = [kind for kind, pace in wanted.items() if pace == NoticePace.OFF and kind in MANDATORY]
    if off and is_last_owner(member):
        text = _(
            "You are the only owner: somebody has to hear of this. Choose “Once a day”, or make another member owner."
        )
        raise invalid(off[0], text, "last_owner")
    NoticeChoice.objects.bulk_create(
        [
            NoticeChoice(tenant_id=member.tenant_id, membership=member, kind=kind, pace=pace)
            for kind, pace in wanted.items()
        ],
        update_conflicts=True,
        unique_fields=["membership", "kind"],
        update_fields=["pace"],
    )


def is_last_owner(member: Membership) -> bool:
    """The only present owner whose account is active."""
    owners = Membership.objects.filter(
        tenant=member.tenant_id, role=Role.OWNER, removed_at__isnull=True, user__is_active=True
    )
    return member.role == Role.OWNER and not owners.exclude(pk=member.pk).exists()


def unread(member: Membership) -> int:
    """How many notices the member has not read."""
    return Notice.objects.filter(membership=member, read_at__isnull=True).count()


def mark_read(member: Membership, now: datetime) -> int:
    """Everything of the member is read; how many were not."""
    return Notice.objects.filter(membership=member, read_at__isnull=True).update(read_at=now)


def url_of(notice: Notice, slug: str) -> str:
    """The absolute address of the page that explains it."""
    return f"{settings.SITE_URL}/t/{slug}/{notice.page}"
