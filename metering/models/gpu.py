from __future__ import annotations

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.database.audit_triggers import audited
from tenants.models import Tenant

from .collector import CollectorState


class GpuDevice(models.Model):
    """A GPU, or a MIG instance of one, as its node's collector last saw it.

    `readings` holds what could be read: utilization_percent, memory_used_bytes, memory_total_bytes, power_watts,
    temperature_celsius, energy_joules; a value that could not be read is absent, never 0. `holders` says who held what share
    at `last_seen_at`: [{"tenant": "acme" or null, "share": "0.5", "by": "assignment" | "reservation" | "environment" | "unattributed", "processes": 2}].
    """

    node = models.CharField(max_length=120)
    collector = models.CharField(
        max_length=80, blank=True, default="", db_default="", help_text=_("Which of the node's collectors reads it.")
    )
    uuid = models.CharField(max_length=96)
    parent_uuid = models.CharField(
        max_length=96, blank=True, help_text=_("Set for a MIG instance: the GPU that it is a part of.")
    )
    index = models.PositiveSmallIntegerField(default=0)
    name = models.CharField(max_length=96, help_text=_("As the driver says it."))
    model = models.CharField(max_length=40, help_text=_("The dimension that prices can name, such as H100."))
    fraction = models.DecimalField(
        max_digits=7,
        decimal_places=6,
        default=Decimal(1),
        help_text=_("The part of a GPU that one held hour counts as."),
    )
    mig_enabled = models.BooleanField(default=False)
    state = models.CharField(max_length=12, choices=CollectorState.choices, default=CollectorState.OK)
    detail = models.CharField(max_length=300, blank=True)
    readings = models.JSONField(default=dict, blank=True)
    holders = models.JSONField(default=list, blank=True)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["node", "index", "uuid"]
        verbose_name = _("GPU")
        constraints = [models.UniqueConstraint(fields=["node", "uuid"], name="metering_gpudevice_node_uuid")]

    def __str__(self) -> str:
        return f"{self.model} {self.index} on {self.node}"


class GpuAssignment(models.Model):
    """A device, or a fraction of it, is held by a tenant from `starts_at` until `ends_at`, whether a process runs there or not.

    The fractions of one device never sum to more than 1 at any instant: `attribution.assign` checks under a lock.
    """

    device = models.ForeignKey(GpuDevice, on_delete=models.PROTECT, related_name="assignments")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="gpu_assignments")
    fraction = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        default=Decimal(1),
        validators=[MinValueValidator(Decimal("0.0001")), MaxValueValidator(Decimal(1))],
    )
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["device", "-starts_at"]
        verbose_name = _("GPU assignment")
        indexes = [models.Index(fields=["tenant", "-starts_at"], name="metering_gpuassign_tenant")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(fraction__gt=0, fraction__lte=1), name="metering_gpuassign_fraction"
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at__isnull=True) | models.Q(ends_at__gt=models.F("starts_at")),
                name="metering_gpuassign_ends_after_start",
            ),
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.device} → {self.tenant_id}"


class UnattributedGpuTime(models.Model):
    """Held seconds of a device that nobody could be named for, by UTC hour: shown to operators, billed to no one, never dropped."""

    device = models.ForeignKey(GpuDevice, on_delete=models.PROTECT, related_name="unattributed")
    hour = models.DateTimeField()
    seconds = models.DecimalField(max_digits=12, decimal_places=6)
    processes = models.JSONField(default=list, blank=True)
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-hour", "device"]
        verbose_name = _("unattributed GPU time")
        verbose_name_plural = _("unattributed GPU time")
        constraints = [models.UniqueConstraint(fields=["device", "hour"], name="metering_unattributed_device_hour")]

    def __str__(self) -> str:
        return f"{self.device}: {self.seconds} s"


class GpuDeviceHour(models.Model):
    """What a device did in one UTC hour, added up from its samples: the read model of fleet pages.

    A row is written again with each run of the collector (about 60 times an hour) and never after its hour; at 1,000 GPUs there are 24,000
    rows a day, kept for `housekeeping.KEEP_GPU_HOURS`. Means are quotients: utilisation is busy_seconds / known_seconds, memory
    memory_byte_seconds / memory_seconds, power energy_joules / energy_seconds. What a GPU does not offer has 0 known seconds: unknown, not 0.
    """

    device = models.ForeignKey(GpuDevice, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField(help_text=_("Start of the hour, UTC."))
    samples = models.PositiveIntegerField(default=0)
    observed_seconds = models.FloatField(
        default=0, help_text=_("Time between samples that are near enough to each other.")
    )
    held_seconds = models.FloatField(
        default=0, help_text=_("Part of it in which somebody held the device; shares are added.")
    )
    known_seconds = models.FloatField(default=0, help_text=_("Part of it for which the utilisation is known."))
    busy_seconds = models.FloatField(default=0, help_text=_("Utilisation × time."))
    memory_seconds = models.FloatField(default=0)
    memory_byte_seconds = models.FloatField(default=0)
    memory_peak_bytes = models.BigIntegerField(null=True, blank=True)
    energy_seconds = models.FloatField(default=0)
    energy_joules = models.FloatField(default=0)
    temperature_peak_celsius = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["-hour", "device"]
        verbose_name = _("GPU hour")
        constraints = [models.UniqueConstraint(fields=["device", "hour"], name="metering_gpudevicehour_once")]
        indexes = [models.Index(fields=["hour"], name="metering_gpudevicehour_hour")]

    def __str__(self) -> str:
        return f"{self.device_id}: {self.hour:%Y-%m-%d %H:00}"


class GpuHolderHour(models.Model):
    """What one holder (null: nobody could be named) held of a device in one UTC hour, and how much of that lay idle.

    Whole GPUs count: `held_seconds` of a MIG instance are its part of the GPU. Time counts as idle while what the holder's processes used
    was below `collectors.using.IDLE_BELOW`; where that is not known, neither `busy_seconds` nor `idle_seconds` grow. Time that a
    reservation pays for counts here like any other.
    """

    device = models.ForeignKey(GpuDevice, on_delete=models.CASCADE, related_name="holder_hours")
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    hour = models.DateTimeField(help_text=_("Start of the hour, UTC."))
    held_seconds = models.FloatField(default=0)
    known_seconds = models.FloatField(default=0)
    busy_seconds = models.FloatField(default=0)
    idle_seconds = models.FloatField(default=0)
    energy_joules = models.FloatField(default=0)

    class Meta:
        ordering = ["-hour", "device"]
        verbose_name = _("GPU hour of a holder")
        verbose_name_plural = _("GPU hours of holders")
        constraints = [
            models.UniqueConstraint(
                fields=["device", "hour", "tenant"], name="metering_gpuholderhour_once", nulls_distinct=False
            )
        ]
        indexes = [models.Index(fields=["tenant", "hour"], name="metering_gpuholderhour_tenant")]

    def __str__(self) -> str:
        return f"{self.device_id} of {self.tenant_id}: {self.hour:%Y-%m-%d %H:00}"
