from __future__ import annotations

from django.db import migrations, models

KINDS = [
    ("budget", "Budgets"), ("quota", "Quotas"), ("invoice", "Invoices"), ("anomaly", "Unusual days"), ("request", "Requests for more"),
    ("gpu", "GPUs"), ("access", "Access"),
]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("metering", "0022_frozen_lines_by_index")]
    operations = [
        migrations.AlterField("notice", "kind", models.CharField(choices=KINDS, max_length=8)),
        migrations.AlterField("noticechoice", "kind", models.CharField(choices=KINDS, max_length=8)),
    ]
