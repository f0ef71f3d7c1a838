"""The audit trail: who changed what, from what to what, and why. Written by the database, read here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter, RangeDateTimeFilter
from unfold.decorators import action, display

from tenants.models import AuditEntry

from .base import ReadOnlyAdmin
from .wording import badge

OPERATIONS = {"INSERT": _("Created"), "UPDATE": _("Changed"), "DELETE": _("Deleted")}
TONES = {"INSERT": "good", "UPDATE": "info", "DELETE": "bad"}
NO_NEWS = frozenset({"id", "tenant_id", "policy_version"})
SHOWN_IN_LIST = 3


@dataclass(frozen=True)
class FieldChange:
    """One column: what it was, what it is; None where the row did not exist."""

    name: str
    old: Any
    new: Any


def changes_of(entry: AuditEntry) -> list[FieldChange]:
    """The columns that the change touched, by name."""
    old, new = entry.old or {}, entry.new or {}
    return [FieldChange(name, old.get(name), new.get(name)) for name in sorted({*old, *new} - NO_NEWS)]


def table_in_words(table: str) -> str:
    """'api key' of tenants_apikey: the model's own name where there is one."""
    from django.apps import apps

    for model in apps.get_models():
        if model._meta.db_table == table:
            return str(model._meta.verbose_name)
    return table


class OperationFilter(DropdownFilter):
    title = _("what happened")
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(OPERATIONS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(operation=self.value()) if self.value() in OPERATIONS else queryset


class TableFilter(DropdownFilter):
    title = _("kind of row")
    parameter_name = "table"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        from django.apps import apps

        audited = [
            model
            for label in ("tenants", "metering")
            for model in apps.get_app_config(label).get_models()
            if any(trigger.name == "audit" for trigger in getattr(model._meta, "triggers", ()))
        ]
        return sorted(
            ((model._meta.db_table, str(model._meta.verbose_name)) for model in audited), key=lambda pair: pair[1]
        )

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(table_name=self.value()) if self.value() else queryset


class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor", "what", "diff_in_short", "tenant", "reason")
    list_display_links = ("at", "what")
    list_filter = (("tenant", AutocompleteSelectFilter), TableFilter, OperationFilter, ("at", RangeDateTimeFilter))
    search_fields = ("actor", "table_name", "row_id", "reason", "tenant__slug", "tenant__name")
    search_help_text = _("Person, tenant, table, row or reason")
    list_select_related = ("tenant",)
    fields = (("at", "actor"), ("what", "row_id", "tenant"), "reason", "diff", "chain")
    actions_list = ("check_chain",)

    @action(description=_("Check the chain"), icon="verified", url_path="check-chain")
    def check_chain(self, request: HttpRequest) -> HttpResponse:
        """Recompute every hash and link, and say what does not fit."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, problem FROM tenants_audit_broken() LIMIT 20")
            broken = cursor.fetchall()
        if broken:
            words = ", ".join(f"{number}: {problem}" for number, problem in broken)
            messages.error(request, str(_("The trail was tampered with. Entries %(list)s")) % {"list": words})
        else:
            count = AuditEntry.objects.count()
            messages.success(
                request,
                ngettext("%(count)d entry, unbroken.", "%(count)d entries, unbroken.", count) % {"count": count},
            )
        return HttpResponseRedirect(reverse("admin:tenants_auditentry_changelist"))

    @display(description=_("Change"))
    def what(self, entry: AuditEntry) -> str:
        done = badge(OPERATIONS.get(entry.operation, entry.operation), TONES.get(entry.operation, ""))
        return format_html("{} {}", done, table_in_words(entry.table_name))

    @display(description=_("From → to"))
    def diff_in_short(self, entry: AuditEntry) -> SafeString:
        changes = changes_of(entry) if entry.operation == "UPDATE" else []
        return render_to_string(
            "admin/portal/_diff_short.html",
            {"changes": changes[:SHOWN_IN_LIST], "more": max(0, len(changes) - SHOWN_IN_LIST)},
        )  # type: ignore[return-value]

    @display(description=_("Chain"))
    def chain(self, entry: AuditEntry) -> str:
        """This entry's hash and the one it follows."""
        return render_to_string("admin/portal/_chain.html", {"entry": entry})

    @display(description=_("What changed"))
    def diff(self, entry: AuditEntry) -> SafeString:
        return render_to_string("admin/portal/_diff.html", {"changes": changes_of(entry), "operation": entry.operation})  # type: ignore[return-value]


admin.site.register(AuditEntry, AuditEntryAdmin)
