"""`manage.py verify_invoices`: prove that no invoice or credit note was changed, removed or renumbered."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from metering.billing.issuing import broken
from metering.models import CreditNote, Invoice, LegalEntity


class Command(BaseCommand):
    """Reads every document of every legal entity; ends with an error when one does not prove itself."""

    help = "Verify numbers, snapshots and hash chains of all invoices and credit notes."

    def handle(self, *args: Any, **options: Any) -> None:
        problems = 0
        for entity in LegalEntity.objects.all():
            for problem in broken(entity):
                problems += 1
                self.stderr.write(f"{entity.slug}: {problem}")
            documents = (
                Invoice.objects.filter(entity=entity).exclude(sequence=None).count()
                + CreditNote.objects.filter(entity=entity).count()
            )
            self.stdout.write(f"{entity.slug}: {documents} documents read")
        if problems:
            raise CommandError(
                f"{problems} problems. Restore the documents from a backup; docs/operations.md says how."
            )
