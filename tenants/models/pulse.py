from __future__ import annotations

from django.db import models


class Pulse(models.Model):
    """The time, written every few seconds where there is a read replica, whose age it tells (tenants/database/replica.py). One row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="tenants_one_pulse")]
