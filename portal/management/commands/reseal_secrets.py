"""`manage.py reseal_secrets`: after SECRET_KEY was rotated, seal what is kept encrypted under the new key alone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from metering.webhooks import secrets
from portal.people import second_factor


class Command(BaseCommand):
    """Safe to repeat and to interrupt: what is sealed anew stays readable under both keys' settings."""

    help = "Seal webhook secrets and second factors anew under SECRET_KEY, so that SECRET_KEY_FALLBACKS can be emptied."

    def handle(self, *args: Any, **options: Any) -> None:
        endpoints, lost = secrets.reseal_all("system:reseal_secrets")
        factors, more = second_factor.reseal_all()
        self.stdout.write(f"{endpoints} webhook endpoints and {factors} second factors are sealed under SECRET_KEY")
        lost += more
        for each in lost:
            self.stderr.write(f"cannot be read with SECRET_KEY or a fallback: {each}")
        if lost:
            raise CommandError(
                f"{len(lost)} secrets cannot be read. Add the key they were sealed with to SECRET_KEY_FALLBACKS, or make new ones."
            )
        self.stdout.write(
            "Every secret is readable without SECRET_KEY_FALLBACKS. Sessions and links signed with the old key need it until they end."
        )
