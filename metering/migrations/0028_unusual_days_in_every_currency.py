from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0027_months_that_wait")]

    operations = [
        migrations.AlterField("spendanomaly", name, models.DecimalField(max_digits=17, decimal_places=3))
        for name in ("cost", "expected", "low", "high")
    ]
