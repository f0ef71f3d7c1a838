"""What happened: meters, quarantine, gaps, collectors, jobs, GPUs. Read, filtered, and put right by a few actions; never edited."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    AllValuesCheckboxFilter,
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    RadioFilter,
    RangeDateTimeFilter,
    TextFilter,
)
from unfold.decorators import display

from metering.ledger import quarantine
from metering.models import (
    CollectorState,
    CollectorStatus,
    GpuAssignment,
    GpuDevice,
    JobRun,
    JobState,
    Meter,
    MeteringGap,
    QuarantinedEvent,
    UnattributedGpuTime,
)
from tenants.admin.base import AuditedAdmin, LookOnly, NeverDeleted, ReadOnlyAdmin, acting
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge

from .unknown_usage import release_page
from .usage import usage_page

COLLECTOR_TONES = {CollectorState.OK: "good", CollectorState.UNAVAILABLE: "warn", CollectorState.ERROR: "bad"}
JOB_TONES = {JobState.RUNNING: "info", JobState.DONE: "good", JobState.FAILED: "bad"}
LATE_AFTER = 3
"""Intervals without a run after which a collector counts as silent."""


class MeterAdmin(NeverDeleted, AuditedAdmin):
    """What is counted. Units are fixed once a meter is there: what has been recorded would mean something else."""

    list_display = ("name", "key", "aggregation", "display_unit", "billing_unit", "gap_policy", "position")
    search_fields = ("key", "name")
    ordering = ("position", "key")
    fieldsets = (
        (None, {"fields": (("name", "key"), ("aggregation", "position"), "event_types")}),
        (_("Units"), {"fields": (("base_unit", "display_unit"), ("display_factor", "billing_unit"))}),
    )
    unknown_fieldset = (
        _("Where nothing is known"),
        {"fields": (("gap_policy", "gap_cap_seconds"), "hold_seconds")},
    )
    custom_urls = (("usage/", "metering_meter_usage", usage_page),)

    def get_fieldsets(self, request: HttpRequest, obj: Meter | None = None) -> Any:
        """A new meter bills nothing for gaps until somebody says otherwise."""
        return (*self.fieldsets, self.unknown_fieldset) if obj else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Meter | None = None) -> tuple[str, ...]:
        return ("key", "aggregation", "base_unit", "display_unit", "display_factor", "billing_unit") if obj else ()


class OpenFilter(RadioFilter):
    """Quarantined events that wait, or that someone has dealt with."""

    title = _("state")
    parameter_name = "open"
    all_option = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("", _("Waiting")), ("resolved", _("Resolved")), ("all", _("All"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "resolved":
                return queryset.filter(resolved_at__isnull=False)
            case "all":
                return queryset
        return queryset.filter(resolved_at__isnull=True)


class EventMonthFilter(TextFilter):
    """Events that happened in a month of their tenant, as it is billed."""

    title = _("month of the event")
    parameter_name = "month"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        try:
            return quarantine.of_month(queryset, self.value().strip()) if self.value() else queryset
        except ValueError:
            return queryset.none()


class QuarantinedEventAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "tenant", "reason", "detail", "source", "event_id", "state_mark")
    list_filter = (
        OpenFilter,
        ("tenant", AutocompleteSelectFilter),
        ("reason", AllValuesCheckboxFilter),
        ("received_at", RangeDateTimeFilter),
        EventMonthFilter,
    )
    search_fields = ("source", "event_id", "detail", "tenant__slug", "tenant__name")
    list_select_related = ("tenant",)
    fields = (
        ("tenant", "received_at"),
        ("source", "event_id"),
        ("reason", "detail"),
        "payload",
        ("resolved_at", "resolution"),
    )
    actions = ("release_selected", "resolve_selected")

    def has_resolve_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    @admin.action(description=_("Release into the ledger"), permissions=["resolve"])
    def release_selected(self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent]) -> HttpResponse:
        chosen = list(queryset.filter(resolved_at__isnull=True).select_related("tenant"))
        return release_page(self, request, chosen, action="release_selected", selected=[row.pk for row in chosen])

    @admin.action(description=_("Mark as resolved"), permissions=["resolve"])
    def resolve_selected(self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent]) -> HttpResponse:
        chosen = list(queryset.filter(resolved_at__isnull=True).select_related("tenant"))

        def run(form: forms.Form) -> str:
            reason = form.cleaned_data["reason"]
            with acting(request, reason):
                QuarantinedEvent.objects.filter(pk__in=[row.pk for row in chosen], resolved_at__isnull=True).update(
                    resolved_at=timezone.now(), resolution=reason
                )
            return str(_("Marked as resolved. Nothing was booked."))

        return Confirmation(
            page=self,
            title=_("Mark as resolved"),
            text=_(
                "They stay here with your words and are not booked. To book one, its source sends it again, put right."
            ),
            rows=[(str(row.tenant), f"{row.reason}: {row.detail}") for row in chosen],
            form=ReasonOnly,
            run=run,
            action="resolve_selected",
            selected=[row.pk for row in chosen],
            nothing=_("These are resolved already."),
        ).respond(request)

    @display(description=_("State"))
    def state_mark(self, event: QuarantinedEvent) -> str:
        return badge(_("Resolved")) if event.resolved_at else badge(_("Waiting"), "warn")


class MeteringGapAdmin(ReadOnlyAdmin):
    list_display = ("starts_at", "length", "tenant", "collector", "node", "meter", "subject", "reason")
    list_filter = (
        ("tenant", AutocompleteSelectFilter),
        ("collector", AllValuesCheckboxFilter),
        ("starts_at", RangeDateTimeFilter),
    )
    search_fields = ("collector", "node", "meter", "subject", "reason", "tenant__slug")
    list_select_related = ("tenant",)

    @display(description=_("Length"))
    def length(self, gap: MeteringGap) -> str:
        if gap.ends_at is None:
            return badge(_("open, %(time)s") % {"time": timesince(gap.starts_at, timezone.now())}, "warn")
        return timesince(gap.starts_at, gap.ends_at)


class CollectorStatusAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "node",
        "kind",
        "state_mark",
        "detail",
        "last_run",
        "last_ok_at",
        "duration_ms",
        "failures",
        "buffered",
    )
    list_filter = (("state", ChoicesDropdownFilter), ("kind", AllValuesCheckboxFilter))
    search_fields = ("name", "node", "detail")
    fields = (
        ("name", "node", "kind"),
        ("state_mark", "detail"),
        ("last_run_at", "last_ok_at", "interval_seconds"),
        ("runs", "failures", "duration_ms"),
        ("events", "buffered"),
        "readings",
    )

    @display(description=_("State"), ordering="state")
    def state_mark(self, status: CollectorStatus) -> str:
        if is_silent(status):
            return badge(_("Silent"), "bad")
        return badge(status.get_state_display(), COLLECTOR_TONES[CollectorState(status.state)])

    @display(description=_("Last run"), ordering="last_run_at")
    def last_run(self, status: CollectorStatus) -> str:
        return str(_("%(time)s ago")) % {"time": timesince(status.last_run_at, timezone.now())}


def is_silent(status: CollectorStatus) -> bool:
    """It should have run by now and has not: what it last said is not to be trusted."""
    return (timezone.now() - status.last_run_at).total_seconds() > LATE_AFTER * status.interval_seconds + 30


class JobRunAdmin(ReadOnlyAdmin):
    list_display = ("task", "period", "tenant", "state_mark", "attempt", "started_at", "took", "error_in_short")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("task", AllValuesCheckboxFilter),
        ("tenant", AutocompleteSelectFilter),
        ("started_at", RangeDateTimeFilter),
    )
    search_fields = ("task", "period", "error", "tenant__slug")
    list_select_related = ("tenant",)
    fields = (
        ("task", "period", "tenant"),
        ("state_mark", "attempt"),
        ("started_at", "finished_at", "lease_until"),
        "detail",
        "error",
    )

    @display(description=_("State"), ordering="state")
    def state_mark(self, run: JobRun) -> str:
        if run.state == JobState.RUNNING and run.lease_until < timezone.now():
            return badge(_("Lost"), "warn")
        return badge(run.get_state_display(), JOB_TONES[JobState(run.state)])

    @display(description=_("Took"))
    def took(self, run: JobRun) -> str:
        return f"{(run.finished_at - run.started_at).total_seconds():.1f} s" if run.finished_at else "–"

    @display(description=_("Error"))
    def error_in_short(self, run: JobRun) -> str:
        last = run.error.strip().splitlines()[-1] if run.error.strip() else "–"
        return last if len(last) <= 90 else f"{last[:89]}…"


class GpuDeviceAdmin(ReadOnlyAdmin):
    list_display = ("node", "index", "model", "utilization", "memory", "held_by", "state_mark", "last_seen_at")
    list_filter = (
        ("model", AllValuesCheckboxFilter),
        ("node", AllValuesCheckboxFilter),
        ("state", ChoicesDropdownFilter),
    )
    search_fields = ("node", "uuid", "model", "name")

    @display(description=_("Utilization"))
    def utilization(self, device: GpuDevice) -> str:
        value = device.readings.get("utilization_percent")
        return "–" if value is None else f"{float(value):.0f}%"

    @display(description=_("Memory"))
    def memory(self, device: GpuDevice) -> str:
        used, total = device.readings.get("memory_used_bytes"), device.readings.get("memory_total_bytes")
        return f"{int(used) / 2**30:.0f} of {int(total) / 2**30:.0f} GiB" if used is not None and total else "–"

    @display(description=_("Held by"))
    def held_by(self, device: GpuDevice) -> str:
        return ", ".join(f"{holder.get('tenant') or '?'} {holder.get('share')}" for holder in device.holders) or "–"

    @display(description=_("State"), ordering="state")
    def state_mark(self, device: GpuDevice) -> str:
        return badge(device.get_state_display(), COLLECTOR_TONES[CollectorState(device.state)])


class GpuAssignmentAdmin(ReadOnlyAdmin):
    list_display = ("device", "tenant", "fraction", "starts_at", "ends_at", "reason")
    list_filter = (("tenant", AutocompleteSelectFilter),)
    search_fields = ("device__node", "device__uuid", "tenant__slug", "reason")
    list_select_related = ("device", "tenant")


class UnattributedGpuTimeAdmin(ReadOnlyAdmin):
    list_display = ("hour", "device", "seconds", "process_names", "last_seen_at")
    list_filter = (("hour", RangeDateTimeFilter),)
    search_fields = ("device__node", "device__uuid")
    list_select_related = ("device",)

    @display(description=_("Processes"))
    def process_names(self, row: UnattributedGpuTime) -> str:
        return (
            ", ".join(str(each.get("name", each) if isinstance(each, dict) else each) for each in row.processes)[:120]
            or "–"
        )


def failed_or_lost(now: Any) -> Q:
    """Runs that ended badly, or were killed: their lease has passed without an end."""
    return Q(state=JobState.FAILED) | Q(state=JobState.RUNNING, lease_until__lt=now)


for model, page in (
    (Meter, MeterAdmin),
    (QuarantinedEvent, QuarantinedEventAdmin),
    (MeteringGap, MeteringGapAdmin),
    (CollectorStatus, CollectorStatusAdmin),
    (JobRun, JobRunAdmin),
    (GpuDevice, GpuDeviceAdmin),
    (GpuAssignment, GpuAssignmentAdmin),
    (UnattributedGpuTime, UnattributedGpuTimeAdmin),
):
    admin.site.register(model, page)
