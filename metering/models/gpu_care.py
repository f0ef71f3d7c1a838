from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.database.audit_triggers import audited
from tenants.models import Tenant, Tier

from .gpu import GpuDevice
from .reservation import Reservation


class OwnerFact(models.TextChoices):
    USER = "user", _("Unix user")
    CONTAINER = "container", _("Container, pod or cgroup")
    COMMAND = "command", _("Name of the program")


class GpuOwnerRule(models.Model):
    """The mapping table, the last step of attribution: what a process is known by, and the tenant that it then belongs to.

    Rules are tried by `position`; the first that fits wins. `pattern` has shell wildcards (* ? [a-z]) and must fit the whole text.
    """

    position = models.PositiveIntegerField(default=100, help_text=_("Small numbers are tried first."))
    fact = models.CharField(max_length=9, choices=OwnerFact.choices)
    pattern = models.CharField(
        max_length=200, help_text=_("With * ? and [a-z], such as acme-*; the whole text must fit.")
    )
    node = models.CharField(
        max_length=120, blank=True, default="", help_text=_("Only on this node; empty: on every node.")
    )
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "pk"]
        verbose_name = _("GPU owner rule")
        constraints = [
            models.UniqueConstraint(fields=["fact", "pattern", "node"], name="metering_gpuownerrule_once"),
            models.CheckConstraint(condition=~models.Q(pattern=""), name="metering_gpuownerrule_pattern"),
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return f"{self.get_fact_display()} {self.pattern}"


class IdleReleaseRule(models.Model):
    """When reservations whose GPUs nobody uses are given back: for a tier, or (without one) for every tier that has no rule of its own.

    Off unless somebody switches it on. The tenant's admins are warned after `idle_minutes`; still idle `grace_minutes` later, the
    reservation is released.
    """

    tier = models.ForeignKey(
        Tier,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text=_("Empty: the whole platform."),
    )
    is_on = models.BooleanField(_("on"), default=False)
    idle_minutes = models.PositiveIntegerField(
        default=120, validators=[MinValueValidator(15), MaxValueValidator(10_080)]
    )
    grace_minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(10), MaxValueValidator(10_080)]
    )

    class Meta:
        ordering = ["tier"]
        verbose_name = _("idle release rule")
        constraints = [
            models.UniqueConstraint(fields=["tier"], name="metering_idlereleaserule_tier", nulls_distinct=False),
            models.CheckConstraint(
                condition=models.Q(idle_minutes__gte=15, grace_minutes__gte=10), name="metering_idlereleaserule_minutes"
            ),
        ]
        triggers = [audited()]

    def __str__(self) -> str:
        return str(self.tier) if self.tier else str(_("Platform"))


class GpuNoticeKind(models.TextChoices):
    UNATTRIBUTED = "unattributed", _("Unattributed GPU time")
    IDLE = "idle", _("Idle GPU")
    RELEASE = "release", _("Release announced")


class GpuNotice(models.Model):
    """Somebody was told something about a device or a reservation: once per kind, subject and UTC day.

    A release that was announced is taken back by `cleared_at` once the GPUs are used again.
    """

    kind = models.CharField(max_length=12, choices=GpuNoticeKind.choices)
    metric = models.CharField(max_length=40, default="gpu_hours")
    device = models.ForeignKey(GpuDevice, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    reservation = models.ForeignKey(Reservation, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()
    at = models.DateTimeField(default=timezone.now)
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-at"]
        verbose_name = _("GPU notice")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "metric", "device", "reservation", "tenant", "day"],
                name="metering_gpunotice_once",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.day}"
