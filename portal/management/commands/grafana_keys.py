"""Make, rotate and publish the keys with which the portal vouches for people at Grafana."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal import grafana_keys


class Command(BaseCommand):
    help = "Make the first key where there is none, publish the public halves as JWKS; --rotate adds the next key and retires old ones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--keys", default=settings.GRAFANA_KEYS_DIR, help="folder of the private keys (GRAFANA_KEYS_DIR)"
        )
        parser.add_argument("--jwks", required=True, help="file that Grafana reads (auth.jwt jwk_set_file)")
        parser.add_argument(
            "--rotate", action="store_true", help="add a key; it signs an hour from now: restart Grafana before"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["keys"]:
            raise CommandError("Set GRAFANA_KEYS_DIR or say --keys=FOLDER.")
        folder, now = Path(options["keys"]), timezone.now()
        try:
            if options["rotate"] or not (folder.is_dir() and grafana_keys.read(folder)):
                self.stdout.write(f"made {grafana_keys.make(folder, now)}")
            self.stdout.writelines(f"retired {kid}" for kid in grafana_keys.retire(folder, now))
            grafana_keys.publish(folder, Path(options["jwks"]))
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"published {len(grafana_keys.read(folder))} keys in {options['jwks']}")
