"""`manage.py seed_demo`: people, tenants, keys, budgets and four months of usage for the demo. Does nothing the second time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from portal.demo import cast, gpus, history, money
from portal.demo.folder import DemoFolder
from tenants.models import Tenant


class Command(BaseCommand):
    """Prints a line for each step; the logins go to credentials.json in the demo's folder."""

    help = "Load the demo's data into an empty database (demo environment only)."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PORTAL_ENV == "production":
            raise CommandError("Demo data does not belong in production: set PORTAL_ENV=demo.")
        folder = DemoFolder()
        if Tenant.objects.exists():
            if not folder.credentials.exists():
                raise CommandError(
                    "There are tenants already, but no credentials.json: start over with `make demo-reset`."
                )
            self._volumes(folder.path)
            self.stdout.write("Demo data is there already.")
            return
        # People and keys are known only while they are made: both are kept, or neither.
        with transaction.atomic():
            self._say("people, tenants and keys")
            folder.write_json(folder.credentials, cast.make())
            now = timezone.now()
            for plan in cast.TENANTS:
                history.write(plan, now, self._say)
            self._say("GPUs")
            gpus.make(now)
            self._say("budgets, invoices")
            money.make(now)
        self._volumes(folder.path)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _volumes(self, path: Path) -> None:
        """Real directories for the storage collector, a few megabytes a tenant."""
        for number, plan in enumerate(cast.TENANTS, start=1):
            folder = path / "volumes" / plan.slug
            folder.mkdir(parents=True, exist_ok=True)
            for part in range(number):
                study = folder / f"study-{part}.dcm"
                if not study.exists():
                    study.write_bytes(json.dumps({"demo": True}).encode() + b"\0" * 1_000_000)
