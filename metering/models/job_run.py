from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.models import Tenant


class JobState(models.TextChoices):
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class JobRun(models.Model):
    """A periodic job's one run for a period (and tenant): the row is claimed before the work, so two beats do it once.

    A run whose lease has passed without an end was killed; the next claim takes it over.
    """

    task = models.CharField(max_length=80)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    period = models.CharField(max_length=40)
    state = models.CharField(max_length=8, choices=JobState.choices, default=JobState.RUNNING)
    attempt = models.PositiveSmallIntegerField(default=1)
    started_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "tenant", "period"], name="metering_jobrun_once", nulls_distinct=False
            )
        ]
        indexes = [models.Index(fields=["-started_at"], name="metering_jobrun_recent")]

    def __str__(self) -> str:
        return f"{self.task} {self.period}"
