"""Writes every mail with made-up facts into a folder, to be looked at: <name>.html and <name>.txt."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from metering.telling import notifications


class Command(BaseCommand):
    help = __doc__
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *, folder: Path, **_: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in notifications.preview_names():
            letter = notifications.preview(name)
            (folder / f"{name}.html").write_text(letter.html, encoding="utf-8")
            (folder / f"{name}.txt").write_text(f"Subject: {letter.subject}\n\n{letter.text}", encoding="utf-8")
            self.stdout.write(str(folder / f"{name}.html"))
