"""The standard tier of the brief, with a smaller and a larger one beside it."""

from decimal import Decimal

from django.db import migrations

TIERS = [
    ("starter", "Starter", "For trying things out.", False, (30, 300, 2_000), ("100000", "5", "100")),
    ("standard", "Standard", "For a hospital's daily work.", True, (60, 1_000, 10_000), ("1000000", "100", "1000")),
    (
        "scale",
        "Scale",
        "For research groups and large imaging archives.",
        False,
        (600, 20_000, 200_000),
        ("20000000", "2000", "20000"),
    ),
]
WINDOWS = ("minute", "hour", "day")
METERS = ("api_calls", "gpu_hours", "storage_gb")


def forward(apps, schema_editor):
    tier_model = apps.get_model("tenants", "Tier")
    for position, (slug, name, description, is_default, windows, quotas) in enumerate(TIERS):
        tier, made = tier_model.objects.get_or_create(
            slug=slug,
            defaults={"name": name, "description": description, "is_default": is_default, "position": position},
        )
        if not made:
            continue
        for window, limit in zip(WINDOWS, windows, strict=True):
            apps.get_model("tenants", "TierRateLimit").objects.create(tier=tier, window=window, limit=limit)
        for meter, limit in zip(METERS, quotas, strict=True):
            apps.get_model("tenants", "TierQuota").objects.create(tier=tier, meter=meter, limit=Decimal(limit))


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_audit_function")]
    operations = [migrations.RunPython(forward, migrations.RunPython.noop)]
