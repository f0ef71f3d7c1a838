"""Requests for higher limits, as operators decide them: what each would mean, granting in full or in part, denying; and the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSplitDateTimeWidget

from metering.quota_requests import impact
from portal.web.drawing.charts import Chart, Mark, Series
from portal.web.quotas import requests_reading
from portal.web.writing import formats
from tenants import audit, calendar
from tenants.admin.base import AuditedAdmin, LookOnly, ReadOnlyAdmin, reason_field, require
from tenants.admin.confirm import Confirmation
from tenants.admin.wording import amount, badge, limit_name
from tenants.limiting import quota_requests
from tenants.models import GrantRule, QuotaRequest, QuotaRequestState

PENDING = QuotaRequestState.PENDING
TONES = {"pending": "warn", "approved": "good", "denied": "bad", "withdrawn": ""}


class Grant(forms.Form):
    """How much, until when, and what the requester reads."""

    granted = forms.DecimalField(
        label=_("Grant"), max_digits=20, decimal_places=6, min_value=Decimal(0), widget=UnfoldAdminDecimalFieldWidget,
        help_text=_("The new limit: what was asked for, or less."),
    )  # fmt: skip
    valid_until = forms.SplitDateTimeField(
        label=_("Until"), required=False, widget=UnfoldAdminSplitDateTimeWidget, help_text=_("In UTC. Empty: for good."),
    )  # fmt: skip
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=quota_requests.LONGEST_REASON, widget=reason_field().widget,
        help_text=_("The requester reads it. Needed when you grant a part only."),
    )  # fmt: skip


class Deny(forms.Form):
    """Why not."""

    reason = forms.CharField(
        label=_("Reason"), max_length=quota_requests.LONGEST_REASON, widget=reason_field().widget,
        help_text=_("The requester reads it."),
    )  # fmt: skip


class QuotaRequestAdmin(ReadOnlyAdmin):
    list_display = ("limit", "tenant", "asked_words", "until_words", "state_mark", "who", "created_at", "decided")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("tenant", AutocompleteSelectFilter),
        ("kind", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("tenant__slug", "tenant__name", "name", "justification", "requested_by__username", "public_id")
    list_select_related = ("tenant", "requested_by", "decided_by", "override", "by_rule__tier")
    fields = (
        ("tenant", "limit", "state_mark"),
        ("asked_words", "limit_then_words", "until_words"),
        "justification",
        ("who", "created_at", "public_id"),
        ("granted_words", "decided", "decided_at"),
        ("decision_reason", "override"),
    )
    change_form_outer_before_template = "admin/portal/_quota_request_panel.html"
    actions_detail = ("approve", "deny")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.impact)
        return [path("<int:object_id>/impact/", view, name="tenants_quotarequest_impact"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuotaRequest]:
        return super().get_queryset(request).select_related(*self.list_select_related)

    def get_ordering(self, request: HttpRequest) -> Any:
        """Those that wait first, newest first."""
        return (Case(When(state=PENDING, then=Value(0)), default=Value(1), output_field=IntegerField()), "-created_at")

    def has_decide_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Buttons only while it waits."""
        row = kwargs.get("obj")
        if row is None or row.state != PENDING:
            context["actions_detail"] = []
        return super().render_change_form(request, context, *args, **kwargs)

    def impact(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """…/quotarequest/<id>/impact/: history, present use, forecast and extra cost, fetched after the page."""
        require(self.has_view_permission(request))
        row = _found(object_id)
        found = impact.of(row, timezone.now())
        unit = found.measure.display_unit if found.measure else ""

        def words(value: Decimal | None) -> str:
            return formats.quantity(value, unit)

        end = found.forecast.end if found.forecast else None
        extra = found.extra.amount if found.extra else None
        context = {
            "row": row,
            "found": found,
            "used": words(found.status.used) if found.status else "",
            "present": requests_reading.amount(row.kind, row.name, found.present, _meters(found)),
            "asked": requests_reading.amount(row.kind, row.name, row.asked, _meters(found)),
            "p50": words(end.p50) if end else "",
            "p90": words(end.p90) if end else "",
            "extra": formats.money(extra.amount, extra.currency) if extra else "",
            "chart": _history_chart(row, found, words) if found.measure else None,
        }
        return TemplateResponse(request, "admin/portal/_quota_request_impact.html", context)

    @action(description=_("Grant"), icon="check", permissions=["decide"])
    def approve(self, request: HttpRequest, object_id: int) -> HttpResponse:
        row = _found(object_id)

        def run(form: forms.Form) -> str:
            values = form.cleaned_data
            done = quota_requests.approve(
                row.tenant,
                row.public_id,
                granted=values["granted"],
                valid_until=values["valid_until"],
                reason=values["reason"],
                actor=audit.user_actor(request.user),
                decided_by=request.user,  # type: ignore[arg-type]  # operators are users
                now=timezone.now(),
            )
            return str(
                _("%(amount)s granted. In force on the next call; the requester is told.")
                % {"amount": amount(done.granted)}
            )

        return self._ask(
            request, row, _("Grant this request?"), Grant, run,
            text=_("An override is set that names the request."), button=_("Grant"),
            initial={"granted": row.asked.normalize().__format__("f"), "valid_until": row.valid_until},
        )  # fmt: skip

    @action(description=_("Deny"), icon="block", permissions=["decide"])
    def deny(self, request: HttpRequest, object_id: int) -> HttpResponse:
        row = _found(object_id)

        def run(form: forms.Form) -> str:
            quota_requests.deny(
                row.tenant,
                row.public_id,
                reason=form.cleaned_data["reason"],
                actor=audit.user_actor(request.user),
                decided_by=request.user,  # type: ignore[arg-type]  # operators are users
                now=timezone.now(),
            )
            return str(_("Denied. The requester is told why."))

        return self._ask(request, row, _("Deny this request?"), Deny, run, button=_("Deny"), danger=True)

    def _ask(
        self, request: HttpRequest, row: QuotaRequest, title: Any, form: type[forms.Form], run: Callable[[Any], str], **more: Any
    ) -> HttpResponse:  # fmt: skip
        return Confirmation(
            page=self,
            title=title,
            rows=[
                (str(_("Tenant")), str(row.tenant)),
                (str(_("Limit")), limit_name(row.kind, row.name)),
                (str(_("Asked for")), f"{amount(row.asked)} ({self.until_words(row)})"),
                (str(_("Limit then")), amount(row.limit_then)),
                (str(_("What it is for")), row.justification),
            ],
            form=form,
            run=run,
            back=reverse("admin:tenants_quotarequest_change", args=[row.pk]),
            **more,
        ).respond(request)

    # ------------------------------------------------------------------------------------------------------- columns

    @display(description=_("Limit"), ordering="name")
    def limit(self, row: QuotaRequest) -> str:
        return limit_name(row.kind, row.name)

    @display(description=_("Asked for"), ordering="asked")
    def asked_words(self, row: QuotaRequest) -> str:
        return amount(row.asked)

    @display(description=_("Limit then"))
    def limit_then_words(self, row: QuotaRequest) -> str:
        return amount(row.limit_then)

    @display(description=_("Until"), ordering="valid_until")
    def until_words(self, row: QuotaRequest) -> str:
        return f"{row.valid_until:%Y-%m-%d %H:%M} UTC" if row.valid_until else str(_("for good"))

    @display(description=_("State"), ordering="state")
    def state_mark(self, row: QuotaRequest) -> str:
        return badge(row.get_state_display(), TONES[row.state])

    @display(description=_("Asked by"))
    def who(self, row: QuotaRequest) -> str:
        return row.requested_by.get_username() if row.requested_by else str(_("An API key"))

    @display(description=_("Granted"))
    def granted_words(self, row: QuotaRequest) -> str:
        if row.granted is None:
            return "–"
        ends = row.override.valid_until if row.override else None
        return f"{amount(row.granted)} ({f'{ends:%Y-%m-%d %H:%M} UTC' if ends else _('for good')})"

    @display(description=_("Decided by"))
    def decided(self, row: QuotaRequest) -> str:
        if row.by_rule:
            return str(_("Rule: %(rule)s") % {"rule": row.by_rule})
        return row.decided_by.get_username() if row.decided_by else "–"


class GrantRuleAdmin(AuditedAdmin):
    list_display = ("tier_words", "active_mark", "percent", "max_days", "most_per_month")
    list_select_related = ("tier",)
    fieldsets = ((None, {"fields": (("tier", "is_active"), ("percent", "max_days", "most_per_month"))}),)

    @display(description=_("Tier"), ordering="tier__position")
    def tier_words(self, rule: GrantRule) -> str:
        return str(rule.tier) if rule.tier else str(_("All tiers without a rule of their own"))

    @display(description=_("State"), ordering="is_active")
    def active_mark(self, rule: GrantRule) -> str:
        return badge(_("On"), "good") if rule.is_active else badge(_("Off"))


def _found(object_id: int) -> QuotaRequest:
    found = QuotaRequest.objects.select_related("tenant__tier").filter(pk=object_id).first()
    if found is None:
        raise Http404
    return found


def _meters(found: impact.Impact) -> dict[str, Any]:
    return {found.measure.pk: found.measure} if found.measure else {}


def _history_chart(row: QuotaRequest, found: impact.Impact, words: Callable[[Decimal], str]) -> Chart:
    """Use by month, the range in which the present one will probably end, and the limits now and asked for."""
    assert found.measure is not None  # noqa: S101  (the caller)
    months = [calendar.month_key(row.tenant.time_zone, point.start) for point in found.history]
    own = row.name == found.measure.pk
    marks: Iterable[Mark] = (
        [
            *([Mark(found.present, str(_("Now")), "warn-fill")] if found.present is not None else []),
            Mark(row.asked, str(_("Asked for"))),
        ]
        if own
        else []
    )
    return Chart(
        id=f"chart-request-{row.pk}",
        title=str(_("%(meter)s by month") % {"meter": found.measure.name}),
        kind="bar",
        x=months,
        labels=[formats.month(each) for each in months],
        series=[Series(found.measure.name, f"meter-{found.measure.pk}", [point.quantity for point in found.history])],
        fmt=words,
        x_title=str(_("Month")),
        marks=list(marks),
        total=False,
    )


admin.site.register(QuotaRequest, QuotaRequestAdmin)
admin.site.register(GrantRule, GrantRuleAdmin)
