"""Gives a GPU, or a fraction of it, to a tenant for a time; with --end, ends the tenant's assignment of it."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from metering.attribution import policy
from metering.models import GpuAssignment, GpuDevice
from tenants.calendar import local_midnight
from tenants.models import Tenant


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("uuid", help="GPU-… or MIG-…, as the collector saw it")
        parser.add_argument("tenant", help="the tenant's slug")
        parser.add_argument("--fraction", default="1", help="above 0, at most 1 (default)")
        parser.add_argument(
            "--until", help="YYYY-MM-DD (midnight in the tenant's zone) or an ISO 8601 instant; default: for good"
        )
        parser.add_argument("--reason", default="", help="kept in the audit trail")
        parser.add_argument(
            "--end", action="store_true", help="end the tenant's assignments of this GPU now (or at --until)"
        )

    def handle(
        self, *, uuid: str, tenant: str, fraction: str, until: str | None, reason: str, end: bool, **_: Any
    ) -> None:
        device = GpuDevice.objects.filter(uuid=uuid).first()
        owner = Tenant.objects.filter(slug=tenant).first()
        if device is None:
            known = (
                ", ".join(GpuDevice.objects.values_list("uuid", flat=True)[:8])
                or "none; no collector has seen a GPU yet"
            )
            raise CommandError(f"No collector has seen {uuid}. Known: {known}.")
        if owner is None:
            raise CommandError(f"There is no tenant {tenant!r}.")
        now, actor = timezone.now(), f"shell:{getpass.getuser()}"
        ends_at = _instant(until, owner.time_zone) if until else None
        try:
            if end:
                self._end(device, owner, ends_at or now, now, actor, reason)
                return
            assignment = policy.assign(
                device, owner, fraction=Decimal(fraction), starts_at=now, ends_at=ends_at, actor=actor, reason=reason
            )
        except InvalidOperation:
            raise CommandError(f"--fraction {fraction!r} is not a number.") from None
        except policy.AssignmentError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{assignment.fraction:f} of {device} is held by {owner.slug} from now on.")

    def _end(self, device: GpuDevice, owner: Tenant, at: datetime, now: datetime, actor: str, reason: str) -> None:
        rows = [
            row
            for row in GpuAssignment.objects.filter(device=device, tenant=owner)
            if row.ends_at is None or row.ends_at > now
        ]
        if not rows:
            raise CommandError(f"{owner.slug} holds nothing of {device}.")
        for row in rows:
            policy.end(row, at, actor=actor, reason=reason)
            self.stdout.write(f"{row.fraction:f} of {device} is held by {owner.slug} until {at.isoformat()}.")


def _instant(text: str, zone: str) -> datetime:
    try:
        day = parse_date(text)
        instant = local_midnight(zone, day) if day else parse_datetime(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise CommandError(f"--until {text!r} is neither YYYY-MM-DD nor an ISO 8601 instant with an offset.")
    return instant
