from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0015_reservations")]

    operations = [
        migrations.AddField(
            model_name="webhookdelivery",
            name="trace_parent",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
    ]
