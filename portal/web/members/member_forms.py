"""Add a member, change a role."""

from __future__ import annotations

from typing import cast

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.access import RANK, Access
from tenants.models import Role

ROLE_HINTS = {
    Role.OWNER: _("Everything, and who is an owner"),
    Role.ADMIN: _("Everything but owners"),
    Role.BILLING: _("Usage, costs and budgets"),
    Role.MEMBER: _("Own usage, own keys, quotas"),
    Role.VIEWER: _("Looks at usage and quotas"),
}


def grantable_roles(access: Access) -> list[tuple[str, str]]:
    """The roles that a manager may give: none above their own."""
    return [(role.value, f"{role.label} – {ROLE_HINTS[role]}") for role in Role if RANK[role] <= RANK[access.role]]


class RoleForm(forms.Form):
    """A member's role."""

    role = forms.ChoiceField(label=_("Role"))

    def __init__(self, *args: object, access: Access, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature
        cast(forms.ChoiceField, self.fields["role"]).choices = grantable_roles(access)


class MemberForm(RoleForm):
    """Who, and as what. Who has no account is invited."""

    person = forms.CharField(
        label=_("E-mail address or username"),
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("Who has no account yet gets an invitation by e-mail."),
    )
    field_order = ("person", "role")
    role = forms.ChoiceField(label=_("Role"), initial=Role.MEMBER.value)
