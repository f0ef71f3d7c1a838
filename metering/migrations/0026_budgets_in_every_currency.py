from __future__ import annotations

from decimal import Decimal
from typing import Any

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models


def _amount(**options: Any) -> models.DecimalField:
    return models.DecimalField(
        max_digits=17,
        decimal_places=3,
        validators=[django.core.validators.MinValueValidator(Decimal("0.001"))],
        **options,
    )


class Migration(migrations.Migration):
    dependencies = [("metering", "0025_what_has_been_priced_stays")]

    operations = [
        migrations.AlterField("budget", "amount", _amount()),
        migrations.AlterField("budget", "floor", _amount(null=True, blank=True, verbose_name="but at least")),
        migrations.AlterField("budgetalert", "cost", models.DecimalField(max_digits=17, decimal_places=3)),
        migrations.AlterField("budgetalert", "amount", models.DecimalField(max_digits=17, decimal_places=3)),
        migrations.AddField(
            "budgetalert",
            "told",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.EmailField(max_length=254), null=True, blank=True, editable=False, size=None
            ),
        ),
    ]
