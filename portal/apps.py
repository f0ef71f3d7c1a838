from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class PortalConfig(AppConfig):
    """Assembles and shows; holds no domain rule and no table."""

    name = "portal"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        import portal.people.sign_on  # noqa: F401  (connects its receiver)
        from portal import telemetry
        from portal.checks import settings_checks
        from portal.roles import after_migrate

        checks.register(settings_checks, "portal")
        post_migrate.connect(after_migrate, dispatch_uid="portal.roles")
        telemetry.begin()
