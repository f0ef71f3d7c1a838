from __future__ import annotations

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Assembles and shows; holds no domain rule and no table."""

    name = "portal"
