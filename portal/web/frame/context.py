"""What every page knows about the installation."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from portal.people import providers


def site(request: HttpRequest) -> dict[str, Any]:
    return {
        "site_name": settings.SITE_NAME,
        "portal_env": settings.PORTAL_ENV,
        "sign_on": providers.usable(settings.OIDC_PROVIDERS),
    }
