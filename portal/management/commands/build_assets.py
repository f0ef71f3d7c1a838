"""`manage.py build_assets`: build the stylesheet and collect scripts and fonts from installed packages."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal import build_assets


class Command(BaseCommand):
    """Skips what is up to date."""

    help = "Build the static files under portal/static/ (Tailwind stylesheet, scripts, fonts)."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changed = build_assets.build()
        except build_assets.BuildError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("built" if changed else "up to date")
