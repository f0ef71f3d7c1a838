"""Single sign-on by OpenID Connect: who may come in, and that memberships follow the provider's claims at every sign-in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from allauth.account.signals import user_logged_in
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver
from django.http import HttpRequest

from tenants import audit
from tenants.models import Membership, Tenant, User
from tenants.people import memberships
from tenants.problems import ProblemError

from .. import roles
from . import sso_roles

PLATFORM_GROUPS = {"operator": roles.OPERATORS, "support": roles.SUPPORT}

log = logging.getLogger(__name__)


class SignOnAdapter(DefaultSocialAccountAdapter):
    """A new account is made only for people to whom the provider's claims give a place here."""

    def can_authenticate_by_email(self, login: SocialLogin, email: str) -> bool:
        """An address proves an account only where the setting trusts this provider with it (`match_addresses`), and never staff's."""
        provider = _provider(login)
        trusted = bool(provider and provider.get("match_addresses"))
        return (
            trusted and not User.objects.filter(Q(is_staff=True) | Q(is_superuser=True), email__iexact=email).exists()
        )

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return bool(_granted(sociallogin))


@receiver(user_logged_in)
def follow_claims(request: HttpRequest, user: User, sociallogin: SocialLogin | None = None, **_: Any) -> None:
    """Bring memberships (and platform rights) in line with what the provider just said. Nothing for sign-ins by password."""
    provider = _provider(sociallogin) if sociallogin else None
    if sociallogin is None or not provider or not provider.get("roles"):
        return
    given = _granted(sociallogin)
    actor = f"sso:{provider['id']}"
    governed = sso_roles.governed(provider["roles"])
    with transaction.atomic():
        if sso_roles.PLATFORM in governed and not user.is_superuser:
            _follow_platform(user, given.platform, actor)
        for tenant in Tenant.objects.filter(slug__in=governed):
            _follow_tenant(user, tenant, given.tenants.get(tenant.slug), actor)


def _follow_tenant(user: User, tenant: Tenant, role: str | None, actor: str) -> None:
    found = Membership.objects.filter(tenant=tenant, user=user, removed_at__isnull=True).first()
    reason = "by the identity provider's claims"
    try:
        with transaction.atomic():
            if role and found is None:
                memberships.add(tenant, user, role, by=None, actor=actor, reason=reason)
            elif role and found is not None and found.role != role:
                memberships.change_role(found, role, by=None, actor=actor, reason=reason)
            elif not role and found is not None:
                memberships.remove(found, by=None, actor=actor, reason=reason)
    except ProblemError as problem:  # such as the last owner, who stays
        log.warning("sso.not_followed", extra={"tenant": tenant.slug, "problem": str(problem)})


def _follow_platform(user: User, role: str, actor: str) -> None:
    wanted = PLATFORM_GROUPS.get(role)
    present = set(user.groups.filter(name__in=PLATFORM_GROUPS.values()).values_list("name", flat=True))
    if user.is_staff == bool(wanted) and present == ({wanted} if wanted else set()):
        return
    with audit.acting(actor, "by the identity provider's claims"):
        user.is_staff = bool(wanted)
        user.save(update_fields=["is_staff"])
        user.groups.remove(*Group.objects.filter(name__in=present - {wanted}))
        if wanted:
            user.groups.add(Group.objects.get(name=wanted))


def _granted(login: SocialLogin) -> sso_roles.Granted:
    provider = _provider(login)
    if not provider:
        return sso_roles.Granted()
    extra: Mapping[str, Any] = login.account.extra_data or {}
    claims = {**(extra.get("id_token") or {}), **(extra.get("userinfo") or {})}
    return sso_roles.granted(claims, provider.get("roles_claim", "groups"), provider.get("roles", {}))


def _provider(login: SocialLogin) -> Mapping[str, Any] | None:
    return next((each for each in settings.OIDC_PROVIDERS if each["id"] == login.account.provider), None)
