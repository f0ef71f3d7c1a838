from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.models import Tenant


class NotificationState(models.TextChoices):
    PENDING = "pending", _("Waiting")
    SENDING = "sending", _("Being sent")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Given up")


class Notification(models.Model):
    """An e-mail that is owed: written in the transaction of its cause, sent by a task, retried for 24 hours.

    `dedupe_key` is unique, so that whatever runs twice owes one mail. While a row is `sending`, `next_attempt_at` is the end of its
    lease: then it is taken up again, unless `handed_over_at` says that the mail server may have it already.
    """

    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    dedupe_key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=40)
    recipient = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField()
    html = models.TextField(blank=True)
    attachment_name = models.CharField(max_length=80, blank=True, default="", db_default="")
    attachment = models.TextField(
        blank=True, default="", db_default="", help_text=_("A text file (CSV) that goes with the mail.")
    )
    state = models.CharField(max_length=8, choices=NotificationState.choices, default=NotificationState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    handed_over_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    trace_parent = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(state__in=["pending", "sending"]),
                name="metering_notification_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} → {self.recipient}"
