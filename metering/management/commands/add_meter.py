"""Adds meters of amounts, such as inferences, with their prices in one new version of the default price book. What is there already stays.

manage.py add_meter "inferences:Inferences:inference:0.0004" "searches:Searches:search:0"
"""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from metering.models import Meter, PriceBook
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants.audit import acting
from tenants.problems import ProblemError


class Wanted(NamedTuple):
    """A meter to add: what events are called, its name for people, one of it, and the price of one."""

    key: str
    name: str
    unit: str
    price: Decimal


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "meters",
            nargs="+",
            metavar="KEY:NAME:UNIT:PRICE",
            help="the price is in the default book's currency; 0 is a price, too",
        )
        parser.add_argument(
            "--now", action="store_true", help="priced from the hour that runs, instead of the next full one"
        )

    def handle(self, *, meters: list[str], now: bool, **_: Any) -> None:
        wanted = [_wanted(text) for text in meters]
        book = PriceBook.objects.filter(is_default=True).first()
        if book is None:
            raise CommandError("There is no default price book: make one in the admin.")
        actor, reason = f"shell:{getpass.getuser()}", f"new meters: {', '.join(each.key for each in wanted)}"
        try:
            with acting(actor, reason), transaction.atomic():
                for each in wanted:
                    made = _meter(each)
                    self.stdout.write(f"{each.key}: {'added' if made else 'known'}.")
                self.stdout.write(
                    _price(book, wanted, now=now, actor=actor, reason=reason) or "All are priced already."
                )
        except ProblemError as error:
            raise CommandError(str(error)) from None


def _meter(wanted: Wanted) -> bool:
    position = (Meter.objects.aggregate(Max("position"))["position__max"] or 0) + 1
    units = {"base_unit": wanted.unit, "display_unit": wanted.unit, "billing_unit": wanted.unit}
    _, made = Meter.objects.get_or_create(
        key=wanted.key,
        defaults={"name": wanted.name, "event_types": {wanted.key: 1}, "position": position, **units},
    )
    return made


def _price(book: PriceBook, wanted: Sequence[Wanted], *, now: bool, actor: str, reason: str) -> str:
    """A published version with the new prices besides the latest ones; "" when the latest published one has them all."""
    latest = book.versions.filter(published_at__isnull=False).order_by("starts_at").last()
    rows = [] if latest is None else [
        PriceRow(row.meter, row.charge_model, row.unit_price, row.params, row.dim_key, row.dim_value)
        for row in latest.prices.all()
    ]  # fmt: skip
    priced = {row.meter for row in rows}
    fresh = [PriceRow(each.key, "per_unit", each.price) for each in wanted if each.key not in priced]
    if not fresh:
        return ""
    instant = timezone.now()
    starts_at = _full_hour(instant) if now else _full_hour(instant) + timedelta(hours=1)
    if latest is not None and starts_at <= latest.starts_at:  # prices that were published are not changed: these follow
        starts_at = latest.starts_at + timedelta(hours=1)
    version = price_books.new_version(book, starts_at, [*rows, *fresh], note=reason, actor=actor)
    price_books.publish(version, instant, actor=actor, reason=reason, force=starts_at <= instant)
    return f"Priced from {starts_at:%Y-%m-%d %H:%M} UTC ({price_books.reference(version)})."


def _full_hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _wanted(text: str) -> Wanted:
    """Raises CommandError."""
    key, name, unit, price = (text.split(":") + [""] * 4)[:4]
    try:
        amount = Decimal(price)
    except InvalidOperation:
        amount = Decimal(-1)
    if not (key and name and unit and text.count(":") == 3 and amount.is_finite() and amount >= 0):
        raise CommandError(f"{text!r}: write KEY:NAME:UNIT:PRICE, such as inferences:Inferences:inference:0.0004.")
    return Wanted(key, name, unit, amount)
