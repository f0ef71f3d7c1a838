"""Budgets with the marks at which people are told, and the alerts that went out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    BooleanRadioFilter,
    ChoicesDropdownFilter,
    RangeDateTimeFilter,
)
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from metering import budgets
from metering.budgets import plan, setting, shares
from metering.models import Budget, BudgetAlert, BudgetThreshold, QuotaAlert
from metering.money import minor_digits
from tenants import audit
from tenants.admin.base import AuditedAdmin, LookOnly, ReadOnlyAdmin, ReasonForm
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import amount, badge, meter_name

MARK_TONES = ((100, "bad"), (90, "warn"), (0, "info"))


def mark_badge(percent: int) -> str:
    """'80%' in the colour of how bad it is."""
    return badge(f"{percent}%", next(tone for least, tone in MARK_TONES if percent >= least))


def money(value: Any, currency: str) -> str:
    """'1,234.50 USD', '1,235 JPY', '1.234 KWD': the digits of the currency."""
    return f"{number_format(value, decimal_pos=minor_digits(currency), use_l10n=True, force_grouping=True)} {currency}"


def marks_in_words(budget: Budget) -> str:
    """'80%, 90%, 100%'."""
    return ", ".join(f"{each.percent}%" for each in budget.thresholds.all()) or "–"


def state_badge(budget: Budget) -> str:
    if not budget.is_active:
        return badge(_("Off"))
    if budget.muted_until is not None and budget.muted_until > timezone.now():
        return badge(_("Muted"), "warn")
    return badge(_("On"), "good")


class ThresholdForm(forms.ModelForm):
    def has_changed(self) -> bool:
        """The marks that a new budget starts with are kept although nobody touched them."""
        proposed = self.instance.pk is None and bool(self.data.get(self.add_prefix("percent")))
        return proposed or super().has_changed()


class Thresholds(BaseInlineFormSet):
    def clean(self) -> None:
        """Ascending, each once, and no action milder than one below it."""
        super().clean()
        rows = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        rows = [row for row in rows if row.get("percent")]
        if self.instance.pk:  # a mark that is added below stands last in the form
            rows.sort(key=lambda row: row["percent"])
        steps = [plan.Step(row["percent"], row["action"], tuple(row.get("recipients") or ())) for row in rows]
        if wrong := plan.step_errors(steps, of_platform=self.instance.tenant_id is None):
            raise ValidationError([error.detail for error in wrong])


class ThresholdInline(TabularInline):
    model = BudgetThreshold
    form = ThresholdForm
    formset = Thresholds
    fields = ("percent", "action", "recipients")
    verbose_name_plural = _("Warn at")
    hide_title = True

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj else len(settings.BUDGET_THRESHOLDS)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """A new budget starts with the platform's marks; no recipients means owners, admins and billing contacts."""
        formset: Any = super().get_formset(request, obj, **kwargs)
        if obj is not None:
            return formset

        class WithDefaults(formset):  # type: ignore[misc,valid-type]
            def __init__(self, *args: Any, **more: Any) -> None:
                if not args or args[0] is None:
                    more.setdefault("initial", [{"percent": percent} for percent in settings.BUDGET_THRESHOLDS])
                super().__init__(*args, **more)

        return WithDefaults

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "recipients":
            field.widget = UnfoldAdminTextInputWidget(attrs={"placeholder": _("owners, admins and billing")})
            field.help_text = _("Addresses, separated by commas.")
        return field


class BudgetForm(ReasonForm):
    def clean(self) -> dict[str, Any]:
        """The rules of the portal and the API: the currency of the prices, and a plan that makes sense (budgets.plan)."""
        values = super().clean() or {}
        tenant, currency = values.get("tenant", self.instance.tenant), values.get("currency")
        paid_in = budgets.billed_in(tenant)
        if currency is not None and currency != paid_in:
            whose = _("This tenant pays in %(currency)s.") if tenant else _("The platform counts in %(currency)s.")
            self.add_error("currency", whose % {"currency": paid_in})
        if not self.errors:
            for error in plan.errors(self._plan(values), paid_in, of_platform=tenant is None):
                name = error.pointer.strip("/")
                if not name.startswith("thresholds"):
                    self.add_error(name if name in self.fields else None, error.detail)
        return values

    def _plan(self, values: dict[str, Any]) -> plan.Plan:
        share = values.get("percent_of_last")
        now = self.instance
        return plan.Plan(
            name=values.get("name", now.name),
            steps=(),
            amount=None if share else values.get("amount", now.amount),
            percent_of_last=share,
            floor=values.get("floor"),
            period=values.get("period", now.period),
            scope=values.get("scope", now.scope),
            scope_value=values.get("scope_value", now.scope_value),
            basis=values.get("basis", now.basis),
        )


class BudgetAdmin(AuditedAdmin):
    form = BudgetForm
    list_display = ("owner", "name", "amount_in_words", "period", "marks", "is_primary", "state_mark")
    list_display_links = ("owner", "name")
    list_filter = (
        ("tenant", AutocompleteSelectFilter),
        ("period", ChoicesDropdownFilter),
        ("is_active", BooleanRadioFilter),
    )
    search_fields = ("tenant__slug", "tenant__name", "name")
    list_select_related = ("tenant",)
    autocomplete_fields = ("tenant",)
    inlines = (ThresholdInline,)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("tenant", "name"),
                    ("amount", "currency"),
                    ("percent_of_last", "floor"),
                    ("period", "basis"),
                    ("is_active", "is_primary"),
                )
            },
        ),
        (_("Scope and silence"), {"classes": ["collapse"], "fields": (("scope", "scope_value"), "muted_until")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        return super().get_queryset(request).prefetch_related("thresholds")

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        # The platform's own amount is PLATFORM_BUDGET_USD; what is typed here would be undone by the next check.
        return ("tenant", "amount", "currency", "percent_of_last", "floor") if _is_platforms(obj) else ("tenant",)

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        """A share of the period before is worked out at once; a budget that is about something else now starts anew."""
        obj.settled_for = ""
        shares.settle(obj, timezone.now())
        super().save_model(request, obj, form, change)
        if change and {"scope", "scope_value", "period", "basis", "currency"} & set(form.changed_data):
            setting.forget(
                obj, timezone.now(), audit.user_actor(request.user), "the budget is about something else now"
            )

    def has_delete_permission(self, request: HttpRequest, obj: Budget | None = None) -> bool:
        """A budget that has warned is switched off instead: its alerts stay."""
        return super().has_delete_permission(request, obj) and (obj is None or not obj.alerts.exists())

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        for row in formset.save(commit=False):
            row.tenant_id = form.instance.tenant_id
            row.save()
        for row in formset.deleted_objects:
            row.delete()

    actions = ("mute_a_week", "unmute")

    @admin.action(description=_("Mute for a week"), permissions=["change"])
    def mute_a_week(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        now = timezone.now()
        for budget in queryset:
            budgets.mute(budget, now + timedelta(days=7), now, actor=audit.user_actor(request.user))
        self.message_user(request, _("No mails of them for a week."))

    @admin.action(description=_("Send mails again"), permissions=["change"])
    def unmute(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        for budget in queryset:
            budgets.unmute(budget, actor=audit.user_actor(request.user))
        self.message_user(request, _("Mails of them are sent again."))

    @display(description=_("Tenant"), ordering="tenant__slug")
    def owner(self, budget: Budget) -> Any:
        return budget.tenant or _("Platform")

    @display(description=_("Amount"), ordering="amount")
    def amount_in_words(self, budget: Budget) -> str:
        return money(budget.amount, budget.currency)

    @display(description=_("Warns at"))
    def marks(self, budget: Budget) -> str:
        return marks_in_words(budget)

    @display(description=_("State"))
    def state_mark(self, budget: Budget) -> str:
        return state_badge(budget)


def _is_platforms(budget: Budget) -> bool:
    return budget.tenant_id is None and budget.is_primary


class BudgetAlertAdmin(ReadOnlyAdmin):
    list_display = ("crossed_at", "owner", "mark", "cost_in_words", "period_key", "action", "state_mark", "seen_by")
    list_filter = (("tenant", AutocompleteSelectFilter), ("crossed_at", RangeDateTimeFilter))
    search_fields = ("tenant__slug", "tenant__name", "budget__name", "period_key")
    list_select_related = ("tenant", "budget")
    actions = ("acknowledge",)

    def has_acknowledge_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    @admin.action(description=_("Acknowledge"), permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[BudgetAlert]) -> HttpResponse:
        waiting = list(queryset.filter(acknowledged_at__isnull=True).select_related("tenant", "budget"))

        def run(form: forms.Form) -> str:
            count = budgets.acknowledge(
                waiting, timezone.now(), actor=audit.user_actor(request.user), note=form.cleaned_data["reason"]
            )
            return str(_("Acknowledged: %(count)d.") % {"count": count})

        return Confirmation(
            page=self,
            title=_("Acknowledge"),
            text=_("Who has seen them, when, and your note are kept with the alerts; the tenant reads them."),
            rows=[(str(alert.tenant or _("Platform")), str(alert)) for alert in waiting],
            form=ReasonOnly,
            run=run,
            action="acknowledge",
            selected=[alert.pk for alert in waiting],
            button=_("Acknowledge"),
            nothing=_("These are acknowledged already."),
        ).respond(request)

    @display(description=_("Seen by"))
    def seen_by(self, alert: BudgetAlert) -> str:
        return " – ".join(filter(None, [alert.acknowledged_by, alert.acknowledged_note])) or "–"

    @display(description=_("Tenant"), ordering="tenant__slug")
    def owner(self, alert: BudgetAlert) -> Any:
        return alert.tenant or _("Platform")

    @display(description=_("Mark"), ordering="percent")
    def mark(self, alert: BudgetAlert) -> str:
        return mark_badge(alert.percent)

    @display(description=_("Cost then"), ordering="cost")
    def cost_in_words(self, alert: BudgetAlert) -> str:
        return f"{money(alert.cost, alert.currency)} / {money(alert.amount, alert.currency)}"

    @display(description=_("State"))
    def state_mark(self, alert: BudgetAlert) -> str:
        if alert.cleared_at:
            return badge(_("Cleared"))
        return badge(_("Acknowledged"), "good") if alert.acknowledged_at else badge(_("New"), "warn")


class QuotaAlertAdmin(ReadOnlyAdmin):
    list_display = ("crossed_at", "tenant", "mark", "meter_in_words", "use_in_words", "period_key", "state_mark")
    list_filter = (("tenant", AutocompleteSelectFilter), ("crossed_at", RangeDateTimeFilter))
    search_fields = ("tenant__slug", "tenant__name", "meter", "period_key")
    list_select_related = ("tenant",)

    @display(description=_("Mark"), ordering="percent")
    def mark(self, alert: QuotaAlert) -> str:
        return mark_badge(alert.percent)

    @display(description=_("Quota"), ordering="meter")
    def meter_in_words(self, alert: QuotaAlert) -> str:
        return meter_name(alert.meter)

    @display(description=_("Use then"), ordering="used")
    def use_in_words(self, alert: QuotaAlert) -> str:
        return f"{amount(alert.used)} / {amount(alert.limit)}"

    @display(description=_("State"))
    def state_mark(self, alert: QuotaAlert) -> str:
        return badge(_("Cleared")) if alert.cleared_at else badge(_("Standing"), "warn")


admin.site.register(Budget, BudgetAdmin)
admin.site.register(BudgetAlert, BudgetAlertAdmin)
admin.site.register(QuotaAlert, QuotaAlertAdmin)
