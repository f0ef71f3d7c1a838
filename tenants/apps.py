from __future__ import annotations

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Who may do how much."""

    name = "tenants"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from .database import row_security

        post_migrate.connect(row_security.after_migrate, dispatch_uid="tenants.row_security")
