from __future__ import annotations

import uuid
from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.database.audit_triggers import append_only, audited, immutable
from tenants.models import Tenant


class ReservationState(models.TextChoices):
    HELD = "held", _("Held")
    SETTLED = "settled", _("Settled")
    CANCELLED = "cancelled", _("Cancelled")
    LAPSED = "lapsed", _("Lapsed")
    RELEASED = "released", _("Released")


class Reservation(models.Model):
    """GPUs held for a job, from `started_at` until it ends. A state other than `held` is final.

    `fraction` is the part of each GPU. `expected_seconds` is wall-clock time; what counts against a quota is that × gpus × fraction.
    `heartbeat_at` is the last proof by the job, `seen_at` the last by a collector that found its processes; both confirm that the GPUs
    were held until then. Usage is in the ledger up to `booked_until`. The estimate is what the whole reservation was expected to cost.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="reservations")
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=9, choices=ReservationState.choices, default=ReservationState.HELD)
    gpus = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    gpu_model = models.CharField(max_length=40)
    fraction = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        default=Decimal(1),
        validators=[MinValueValidator(Decimal("0.0001")), MaxValueValidator(Decimal(1))],
    )
    expected_seconds = models.PositiveBigIntegerField()
    labels = models.JSONField(default=dict, blank=True)
    created_by = models.CharField(max_length=160, help_text=_("Who reserved: a key, as the trail names it."))
    ttl_seconds = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    lapses_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True, blank=True)
    placements = models.JSONField(
        default=dict, blank=True, help_text=_("Where collectors saw it: node → GPUs and the instant.")
    )
    booked_until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    estimate = models.DecimalField(max_digits=20, decimal_places=6)
    currency = models.CharField(max_length=3)
    price_version = models.CharField(max_length=80)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [
            models.Index(fields=["tenant", "-started_at"], name="metering_reservation_tenant"),
            models.Index(fields=["lapses_at"], condition=models.Q(state="held"), name="metering_reservation_held"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="metering_reservation_public_id"),
            models.CheckConstraint(
                condition=models.Q(gpus__gte=1, fraction__gt=0, fraction__lte=1), name="metering_reservation_amount"
            ),
            models.CheckConstraint(
                condition=models.Q(state="held", ended_at__isnull=True, closed_at__isnull=True)
                | (~models.Q(state="held") & models.Q(ended_at__isnull=False, closed_at__isnull=False)),
                name="metering_reservation_end",
            ),
        ]
        triggers = [
            audited(ignore=["heartbeat_at", "lapses_at", "seen_at", "placements", "booked_until"]),
            immutable("tenant_id", "public_id", "gpus", "gpu_model", "fraction", "labels", "started_at"),
        ]

    def __str__(self) -> str:
        return f"{self.gpus} × {self.gpu_model}"


class ReservationChange(models.Model):
    """What happened to a reservation, in order: reserved, extended, and how it ended. Never edited."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="changes")
    at = models.DateTimeField()
    kind = models.CharField(max_length=10)
    actor = models.CharField(max_length=160)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["reservation", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["reservation"],
                condition=~models.Q(kind__in=["reserved", "extended"]),
                name="metering_reservationchange_one_end",
            )
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.reservation_id}: {self.kind}"


class ReservationBook(models.Model):
    """Which build of a tenant's holds in Redis counts. A grant under another epoch is void (see metering/reservations/book.py)."""

    tenant = models.OneToOneField(Tenant, on_delete=models.PROTECT, related_name="+")
    epoch = models.CharField(max_length=16)
    built_at = models.DateTimeField()
