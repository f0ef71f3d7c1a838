"""`manage.py verify_invoices`: prove that no invoice or credit note was changed, removed or renumbered."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from metering.billing.issuing import broken
from metering.models import CreditNote, Invoice, LegalEntity


class Command(BaseCommand):
    """Reads every document of every legal entity and says what it found; ends with 1 when one does not prove itself."""

    help = (
        "Verify numbers, snapshots and hash chains of all invoices and credit notes; exit status 1 when one is broken."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        checked = 0
        problems: list[str] = []
        for entity in LegalEntity.objects.order_by("slug"):
            invoices = Invoice.objects.filter(entity=entity).exclude(sequence=None).count()
            notes = CreditNote.objects.filter(entity=entity).count()
            found = [f"{entity.slug}: {problem}" for problem in broken(entity)]
            checked += invoices + notes
            problems += found
            verdict = f"BROKEN, first: {found[0].partition(': ')[2]}" if found else "chain intact"
            self.stdout.write(f"{entity.slug}: {invoices} invoices and {notes} credit notes checked, {verdict}")
            for problem in found:
                self.stderr.write(problem)
        if problems:
            raise CommandError(
                f"{checked} documents checked, {len(problems)} problems, the first is: {problems[0]}. "
                "Restore the documents from a backup; docs/operations.md says how."
            )
        self.stdout.write(
            self.style.SUCCESS(f"{checked} documents checked: every number is there and the chain is intact.")
        )
