"""A legal entity to invoice with, so that the first month closes without set-up; operators put their own name on it."""

from django.db import migrations


def forward(apps, schema_editor):
    entity_model = apps.get_model("metering", "LegalEntity")
    if not entity_model.objects.exists():
        entity_model.objects.create(slug="platform", name="Platform operator", prefix="INV", is_default=True)


class Migration(migrations.Migration):
    dependencies = [("metering", "0007_invoices")]
    operations = [migrations.RunPython(forward, migrations.RunPython.noop)]
