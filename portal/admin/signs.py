"""The dashboard's tiles: one thing each that works or waits for somebody, with a link to where it is seen to. Two queries for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, Count, QuerySet, Value
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from metering.admin.records import failed_or_lost, is_silent
from metering.models import (
    CollectorState,
    CollectorStatus,
    GapPolicy,
    GapShare,
    GpuDevice,
    JobRun,
    MeteringGap,
    MonitoringAlert,
    Notification,
    NotificationState,
    QuarantinedEvent,
    SpendAnomaly,
    UnknownUsage,
)
from metering.models.monitoring_alert import AlertState
from tenants.models import QuotaRequest, QuotaRequestState

RECENT = timedelta(days=7)
LATE = timedelta(minutes=10)


@dataclass(frozen=True)
class Sign:
    """One thing that works or does not: '3 jobs failed', a tone (good, warn, bad), and where to look."""

    title: str
    text: str
    tone: str
    url: str


def counted(now: datetime) -> dict[str, int]:
    """How much there is of everything that a tile tells, in one statement."""
    gpus = GpuDevice.objects.exclude(mig_enabled=True)  # its instances are counted instead
    mails = Notification.objects.all()
    what: dict[str, QuerySet[Any]] = {
        "jobs": JobRun.objects.filter(failed_or_lost(now), started_at__gte=now - RECENT),
        "mails_failed": mails.filter(state=NotificationState.FAILED, created_at__gte=now - RECENT),
        "mails_late": mails.filter(state__in=["pending", "sending"], created_at__lt=now - LATE),
        "quarantined": QuarantinedEvent.objects.filter(resolved_at__isnull=True),
        "gaps": MeteringGap.objects.filter(ends_at__isnull=True),
        "unknown": UnknownUsage.objects.filter(resolved_at__isnull=True),
        "undecided": GapShare.objects.filter(policy=GapPolicy.ASK, decision=""),
        "requests": QuotaRequest.objects.filter(state=QuotaRequestState.PENDING),
        "alerts": MonitoringAlert.objects.filter(state=AlertState.FIRING),
        "alerts_critical": MonitoringAlert.objects.filter(state=AlertState.FIRING, severity="critical"),
        "anomalies": SpendAnomaly.objects.filter(detected_at__gte=now - RECENT),
        "gpus": gpus,
        "gpus_held": gpus.filter(last_seen_at__gte=now - LATE).exclude(holders=[]),
        "gpus_away": gpus.exclude(state=CollectorState.OK),
    }
    parts = [
        rows.order_by().values(tile=Value(kind, output_field=CharField())).annotate(found=Count("pk"))
        for kind, rows in what.items()
    ]
    found = {row["tile"]: row["found"] for row in parts[0].union(*parts[1:], all=True)}
    return {kind: found.get(kind, 0) for kind in what}


def signs(counts: dict[str, int], collectors: list[CollectorStatus]) -> list[Sign]:
    """The tiles, what waits for a person first."""
    return [*_waiting(counts), *_working(counts, collectors), *_undecided(counts)]


def _waiting(counts: dict[str, int]) -> list[Sign]:
    requests, alerts, critical, unusual = (
        counts[key] for key in ("requests", "alerts", "alerts_critical", "anomalies")
    )
    return [
        Sign(
            _("Requests for more"),
            ngettext("%(count)d waits", "%(count)d wait", requests) % {"count": requests}
            if requests
            else _("None wait"),
            "warn" if requests else "good",
            f"{_list('tenants', 'quotarequest')}?state__exact=pending",
        ),
        Sign(
            _("Monitoring alerts"),
            _("%(count)d firing, %(critical)d critical") % {"count": alerts, "critical": critical}
            if alerts
            else _("None firing"),
            "bad" if critical else "warn" if alerts else "good",
            f"{_list('metering', 'monitoringalert')}?state__exact=firing",
        ),
        Sign(
            _("Unusual days"),
            _("%(count)d in 7 days") % {"count": unusual} if unusual else _("None in 7 days"),
            "warn" if unusual else "good",
            _list("metering", "spendanomaly"),
        ),
    ]


def _working(counts: dict[str, int], collectors: list[CollectorStatus]) -> list[Sign]:
    troubled = [each for each in collectors if each.state != CollectorState.OK or is_silent(each)]
    late = [each for each in collectors if each.state == CollectorState.ERROR or is_silent(each)]
    gpus = {"all": counts["gpus"], "held": counts["gpus_held"], "away": counts["gpus_away"]}
    return [
        Sign(
            _("GPU fleet"),
            (_("%(held)d of %(all)d held, %(away)d away") if gpus["away"] else _("%(held)d of %(all)d held")) % gpus
            if gpus["all"]
            else _("No GPU seen yet"),
            "warn" if gpus["away"] else "good" if gpus["all"] else "",
            _list("metering", "gpudevice"),
        ),
        Sign(
            _("Collectors"),
            _("%(count)d of %(all)d need a look") % {"count": len(troubled), "all": len(collectors)}
            if troubled
            else _("All %(all)d working") % {"all": len(collectors)}
            if collectors
            else _("None configured"),
            "bad" if late else "warn" if troubled else "good" if collectors else "",
            _list("metering", "collectorstatus"),
        ),
        Sign(
            _("Jobs"),
            _("%(count)d failed in 7 days") % {"count": counts["jobs"]}
            if counts["jobs"]
            else _("None failed in 7 days"),
            "bad" if counts["jobs"] else "good",
            f"{_list('metering', 'jobrun')}?state__exact=failed",
        ),
        Sign(
            _("E-mails"),
            _("%(count)d given up") % {"count": counts["mails_failed"]}
            if counts["mails_failed"]
            else _("%(count)d late") % {"count": counts["mails_late"]}
            if counts["mails_late"]
            else _("None stuck"),
            "bad" if counts["mails_failed"] else "warn" if counts["mails_late"] else "good",
            _list("metering", "notification"),
        ),
        Sign(
            _("Quarantine"),
            ngettext("%(count)d event waits", "%(count)d events wait", counts["quarantined"])
            % {"count": counts["quarantined"]}
            if counts["quarantined"]
            else _("Empty"),
            "warn" if counts["quarantined"] else "good",
            _list("metering", "quarantinedevent"),
        ),
        Sign(
            _("Metering gaps"),
            _("%(count)d open") % {"count": counts["gaps"]} if counts["gaps"] else _("None open"),
            "warn" if counts["gaps"] else "good",
            _list("metering", "meteringgap"),
        ),
    ]


def _undecided(counts: dict[str, int]) -> list[Sign]:
    """What holds bills up until somebody acts; nothing where nothing does."""
    found = []
    if unknown := counts["unknown"]:
        words = ngettext("%(count)d value cannot be billed", "%(count)d values cannot be billed", unknown)
        found.append(Sign(_("Unknown usage"), words % {"count": unknown}, "bad", _list("metering", "unknownusage")))
    if gaps := counts["undecided"]:
        words = ngettext("%(count)d waits for a decision", "%(count)d wait for a decision", gaps)
        found.append(
            Sign(_("Gaps on bills"), words % {"count": gaps}, "warn", f"{_list('metering', 'gapshare')}?waits=yes")
        )
    return found


def _list(app: str, model: str) -> str:
    return reverse(f"admin:{app}_{model}_changelist")
