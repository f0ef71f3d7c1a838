from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import Tenant, User


class AlertState(models.TextChoices):
    FIRING = "firing", _("Firing")
    RESOLVED = "resolved", _("Resolved")


class MonitoringAlert(models.Model):
    """An alert of the monitoring (Alertmanager), once per occurrence: its fingerprint and the instant at which it began.

    `tenant` is the one that its label `tenant` names; `for_tenant` says that its rule wants the tenant to read it (label
    `audience: tenant`). Alertmanager repeats what still fires, so a firing alert that was not heard of for long is stale.
    """

    fingerprint = models.CharField(max_length=64)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=AlertState.choices, default=AlertState.FIRING)
    name = models.CharField(max_length=120)
    severity = models.CharField(max_length=20)
    team = models.CharField(max_length=60, blank=True)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    for_tenant = models.BooleanField(default=False)
    about_costs = models.BooleanField(default=False)
    summary = models.CharField(max_length=300)
    description = models.TextField(blank=True)
    tenant_summary = models.CharField(max_length=300, blank=True)
    runbook_url = models.CharField(max_length=300, blank=True)
    source_url = models.CharField(max_length=1000, blank=True)
    labels = models.JSONField(default=dict)
    last_seen_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    acknowledgement = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-starts_at"]
        constraints = [
            models.UniqueConstraint(fields=["fingerprint", "starts_at"], name="metering_monitoringalert_once")
        ]
        indexes = [
            models.Index(
                fields=["tenant", "-starts_at"], condition=models.Q(for_tenant=True), name="metering_alert_for_tenant"
            ),
            models.Index(fields=["-starts_at"], name="metering_alert_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.summary}"
