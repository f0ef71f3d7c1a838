"""Retention passes over a month that cannot go yet, and remembers those after it that went, and why the others wait."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0026_budgets_in_every_currency")]

    operations = [
        migrations.AlterField("ledgerfloor", "since", models.DateTimeField(null=True)),
        migrations.AddField("ledgerfloor", "gone", models.JSONField(default=list, db_default=[])),
        migrations.AddField("ledgerfloor", "held_back", models.JSONField(default=dict, db_default={})),
    ]
