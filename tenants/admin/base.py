"""What every admin page of the platform obeys.

* A change has an actor and a reason: both reach the audit trail, whatever the form writes (`AuditedAdmin`).
* A change that alters what a tenant may do is published to enforcement when its transaction commits: it holds for the next request.
* The ledger and other records are looked at, never edited (`ReadOnlyAdmin`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, models
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from tenants import audit
from tenants.enforcement.publishing import policy
from tenants.problems import ProblemError

REASON = "audit_reason"
REASON_LENGTH = 300


@contextmanager
def acting(request: HttpRequest, reason: str) -> Iterator[None]:
    """Attribute what the block changes to the signed-in operator, with their reason; one transaction."""
    with audit.acting(audit.user_actor(request.user), reason.strip()[:REASON_LENGTH]):
        yield


def reason_field(*, required: bool = True) -> forms.CharField:
    """The field that asks why."""
    return forms.CharField(
        label=_("Reason"),
        max_length=REASON_LENGTH,
        required=required,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=_("Why you do this. It is kept in the audit trail, which the tenant's admins can read."),
    )


class ReasonForm(forms.ModelForm):
    """A change form that asks why, apart from the row's own fields."""

    audit_reason = reason_field()


class AuditedAdmin(ModelAdmin):
    """A ModelAdmin whose changes carry actor and reason, and are published.

    The form asks why, on every tab. Where the model has a field for it, `reason_from` names that; `asks_reason` is off where a
    reason would be noise.
    """

    form: type[forms.ModelForm] = ReasonForm
    change_form_template: Any = "admin/portal/change_form.html"
    asks_reason = True
    reason_from = ""
    warn_unsaved_form = True
    list_filter_submit = True
    list_per_page = 50
    show_full_result_count = False

    def affected_tenants(self, obj: Any) -> Iterable[int]:
        """Ids of the tenants whose limits, keys or state change with `obj`. None by default."""
        return ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the reason, which the template places outside the tabs."""
        return [field for field in super().get_fields(request, obj) if field != REASON]

    def may_write(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the reader may save this form."""
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        form = context["adminform"].form
        shows = (
            self.asks_reason
            and not self.reason_from
            and REASON in form.fields
            and self.may_write(request, kwargs.get("obj"))
        )
        context["reason"] = form[REASON] if shows else None
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if request.method != "POST":
            return super().changeform_view(request, object_id, form_url, extra_context)
        try:
            with acting(request, request.POST.get(self.reason_from or REASON, "")):
                return super().changeform_view(request, object_id, form_url, extra_context)
        except ProblemError as problem:
            messages.error(request, str(problem))
        except IntegrityError as error:  # a database trigger refused: started prices, immutable columns
            messages.error(request, database_words(error))
        return HttpResponseRedirect(request.get_full_path())

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        if request.method != "POST":
            return super().delete_view(request, object_id, extra_context)
        try:
            with acting(request, "Deleted in the admin"):
                return super().delete_view(request, object_id, extra_context)
        except IntegrityError as error:
            messages.error(request, database_words(error))
            return HttpResponseRedirect(request.get_full_path())

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        policy.publish_after_commit(*self.affected_tenants(form.instance))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        affected = list(self.affected_tenants(obj))
        super().delete_model(request, obj)
        policy.publish_after_commit(*affected)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        """One by one, so that each row's consequences are published."""
        with acting(request, "Deleted in the admin"):
            for obj in queryset:
                self.delete_model(request, obj)


class LookOnly:
    """No adding, changing or deleting, for anybody; viewing as permissions say."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NeverDeleted:
    """Rows that end by a state or a date, and stay."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(LookOnly, ModelAdmin):
    """Records: searched, filtered and read."""

    list_filter_submit = True
    list_per_page = 50
    show_full_result_count = False


class Inline(TabularInline):
    """Rows of a tenant on its page, in a tab of their own."""

    extra = 0
    tab = True
    hide_title = True


def require(allowed: bool) -> None:
    """Raise PermissionDenied (403) unless `allowed`."""
    if not allowed:
        raise PermissionDenied


def database_words(error: IntegrityError) -> str:
    """The database's own sentence, without its context lines."""
    return str(error).strip().splitlines()[0]
