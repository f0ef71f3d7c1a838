"""The admin pages of what the portal is built from: schedules in the platform's look, the rest out of sight, one door for passwords."""

from __future__ import annotations

from allauth.account import admin as accounts_admin  # noqa: F401 - these register first
from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa import admin as second_factor_admin  # noqa: F401
from allauth.mfa.models import Authenticator
from allauth.socialaccount import admin as sign_on_admin  # noqa: F401
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions import admin as sessions_admin  # noqa: F401
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_celery_beat import admin as beat_admin
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.decorators import display

HIDDEN = (
    EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession, ClockedSchedule, SolarSchedule,
)  # fmt: skip


class PeriodicTaskAdmin(beat_admin.PeriodicTaskAdmin, ModelAdmin):
    """On, off, and how often. The tasks themselves come from settings.CELERY_BEAT_SCHEDULE, which beat writes here when it starts."""

    form = forms.ModelForm
    list_display = ("name", "task", "enabled", "schedule_in_words", "last_run_at", "total_run_count")
    list_filter = (("enabled", BooleanRadioFilter),)
    date_hierarchy = None
    actions = ("enable_tasks", "disable_tasks")
    fieldsets = (
        (None, {"fields": (("name", "task"), "enabled", ("interval", "crontab"), ("last_run_at", "total_run_count"))}),
    )
    readonly_fields = ("name", "task", "last_run_at", "total_run_count")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        return False

    @display(description=_("Schedule"))
    def schedule_in_words(self, task: PeriodicTask) -> str:
        return str(task.interval or task.crontab or "–")


class CrontabScheduleAdmin(beat_admin.CrontabScheduleAdmin, ModelAdmin):
    pass


class IntervalScheduleAdmin(beat_admin.IntervalScheduleAdmin, ModelAdmin):
    pass


def arrange() -> None:
    """Replace and remove what other packages registered. Their modules are imported first, so that nothing comes back."""
    for model in (*HIDDEN, PeriodicTask, CrontabSchedule, IntervalSchedule):
        if admin.site.is_registered(model):
            admin.site.unregister(model)
    admin.site.register(PeriodicTask, PeriodicTaskAdmin)
    admin.site.register(CrontabSchedule, CrontabScheduleAdmin)
    admin.site.register(IntervalSchedule, IntervalScheduleAdmin)
    # The admin's own password form knows no rate limit; allauth's does.
    admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


arrange()
