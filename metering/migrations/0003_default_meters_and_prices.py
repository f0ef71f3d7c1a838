"""The meters and prices of the brief, and its three tiers' worth of defaults in the default price book."""

from datetime import UTC, datetime
from decimal import Decimal

from django.db import migrations

METERS = [
    # key, name, aggregation, base unit, display unit, factor, billing unit, event types
    ("api_calls", "API calls", "sum", "call", "call", 1, "call", {"api_calls": 1}),
    ("gpu_hours", "GPU hours", "sum", "second", "hour", 3600, "GPU hour", {"gpu_hours": 3600, "gpu_seconds": 1}),
    ("storage_gb", "Storage", "level", "byte", "GB", 10**9, "GB-month", {"storage_gb": 10**9, "storage_bytes": 1}),
]
PRICES = {"api_calls": Decimal("0.001"), "gpu_hours": Decimal("2.50"), "storage_gb": Decimal("0.023")}
START = datetime(2020, 1, 1, tzinfo=UTC)


def forward(apps, schema_editor):
    meter_model = apps.get_model("metering", "Meter")
    for position, (key, name, aggregation, base, display, factor, billing, types) in enumerate(METERS):
        meter_model.objects.get_or_create(
            key=key,
            defaults={
                "name": name, "aggregation": aggregation, "base_unit": base, "display_unit": display, "display_factor": factor,
                "billing_unit": billing, "event_types": types, "position": position,
            },
        )  # fmt: skip
    book, made = apps.get_model("metering", "PriceBook").objects.get_or_create(
        slug="default", defaults={"name": "Default prices", "currency": "USD", "is_default": True}
    )
    if not made:
        return
    version = apps.get_model("metering", "PriceBookVersion").objects.create(
        book=book, number=1, starts_at=START, note="The platform's list prices"
    )
    price_model = apps.get_model("metering", "Price")
    for meter, unit_price in PRICES.items():
        price_model.objects.create(version=version, meter=meter, unit_price=unit_price)
    # Published last: the prices of a started version cannot be written any more.
    version.published_at = START
    version.save(update_fields=["published_at"])


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_usage_event")]
    operations = [migrations.RunPython(forward, migrations.RunPython.noop)]
