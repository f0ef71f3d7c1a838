from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants.models import Membership, Tenant


class NoticeKind(models.TextChoices):
    """What a person is told of."""

    BUDGET = "budget", _("Budgets")
    QUOTA = "quota", _("Quotas")
    INVOICE = "invoice", _("Invoices")
    ANOMALY = "anomaly", _("Unusual days")
    REQUEST = "request", _("Requests for more")
    GPU = "gpu", _("GPUs")
    ACCESS = "access", _("Access")


class NoticePace(models.TextChoices):
    """How mails about a kind come. Whatever is chosen, the notice is listed in the portal."""

    INSTANT = "instant", _("At once")
    DAILY = "daily", _("Once a day")
    OFF = "off", _("No mails")


class Notice(models.Model):
    """Something that a member of a tenant was told, once: listed in the portal, read or not.

    `mail_owed` waits for the day's digest; `key` is that of the mail, so that what runs twice is told once.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=8, choices=NoticeKind.choices)
    key = models.CharField(max_length=120)
    title = models.CharField(max_length=200)
    page = models.CharField(max_length=40)
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, blank=True)
    mail_owed = models.BooleanField(default=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["membership", "key"], name="metering_notice_once")]
        indexes = [
            models.Index(fields=["membership", "-created_at"], name="metering_notice_list"),
            models.Index(
                fields=["membership"], condition=models.Q(read_at__isnull=True), name="metering_notice_unread"
            ),
            models.Index(fields=["tenant"], condition=models.Q(mail_owed=True), name="metering_notice_owed"),
        ]

    def __str__(self) -> str:
        return self.title


class NoticeChoice(models.Model):
    """How a member wants mails of one kind; without a row, at once."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=NoticeKind.choices)
    pace = models.CharField(max_length=8, choices=NoticePace.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["membership", "kind"], name="metering_noticechoice_once")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.pace}"


class HiddenChecklist(models.Model):
    """A member does not want to see the first steps any more."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.OneToOneField(Membership, on_delete=models.PROTECT, related_name="+")
    hidden_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.membership_id)
