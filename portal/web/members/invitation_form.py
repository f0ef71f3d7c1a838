"""Make an account from an invitation."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.utils.translation import gettext_lazy as _

from tenants.models import User


class NewAccountForm(forms.Form):
    """A name and a password; the address is the invitation's, and signs in."""

    name = forms.CharField(
        label=_("Your name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}), required=False
    )
    password = forms.CharField(
        label=_("Password"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    again = forms.CharField(
        label=_("Password again"), strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email
        self.fields["password"].help_text = " ".join(password_validators_help_texts()[1:2])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        password = values.get("password")
        if password and values.get("again") != password:
            self.add_error("again", _("The two passwords differ."))
        elif password:
            try:
                validate_password(password, self._user(values))
            except forms.ValidationError as error:
                self.add_error("password", error)
        return values

    def save(self) -> User:
        """The new account, with the address as its username."""
        user = self._user(self.cleaned_data)
        user.set_password(self.cleaned_data["password"])
        user.save()
        return user

    def _user(self, values: dict[str, Any]) -> User:
        first, _space, last = values.get("name", "").strip().partition(" ")
        return User(username=self.email.lower()[:150], email=self.email, first_name=first[:150], last_name=last[:150])
