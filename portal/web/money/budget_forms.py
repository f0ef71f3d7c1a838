"""A budget with its thresholds, and what people say to its alerts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from metering.budgets import Plan, Step
from metering.models import BudgetAction, BudgetBasis, BudgetPeriod, BudgetScope, Meter

MOST_THRESHOLDS = 10
MOST_RECIPIENTS = 20
BLANKS = 2
ALL, PROJECT, OF_METER = "all", "project", "meter:"
FIXED, SHARE = "fixed", "share"


def _amount(label: Any, **options: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=False,
        min_value=Decimal("0.001"),
        max_digits=15,
        decimal_places=3,
        error_messages={"min_value": _("A budget is more than zero.")},
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        **options,
    )


class BudgetForm(forms.Form):
    """What a budget is about, how much it is, and what counts."""

    name = forms.CharField(label=_("Name"), max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    about = forms.ChoiceField(label=_("Counts"))
    project = forms.CharField(
        label=_("Project"), required=False, max_length=80, help_text=_("As it stands in the label of your usage."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    period = forms.ChoiceField(label=_("Every"), choices=BudgetPeriod.choices)
    kind = forms.ChoiceField(
        label=_("Amount"), choices=[(FIXED, _("A fixed amount")), (SHARE, _("A share of the period before"))]
    )
    amount = _amount(_("Fixed amount"))
    percent_of_last = forms.IntegerField(
        label=_("Share of the period before"), required=False, min_value=1, max_value=1000,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )  # fmt: skip
    floor = _amount(_("But at least"), help_text=_("With a share: the period before may have cost nothing."))
    basis = forms.ChoiceField(label=_("Thresholds look at"), choices=BudgetBasis.choices)

    def __init__(self, *args: Any, meters: Iterable[Meter], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["about"].choices = [  # type: ignore[attr-defined]  # a ChoiceField's
            (ALL, _("The whole cost")), *((f"{OF_METER}{meter.key}", meter.name) for meter in meters), (PROJECT, _("One project")),
        ]  # fmt: skip

    def plan(self, steps: tuple[Step, ...]) -> Plan:
        """The budget as it was asked for; what was filled in beside the choice that was made does not count."""
        values = self.cleaned_data
        about, share = values["about"], values["kind"] == SHARE
        scope, _sep, meter = about.partition(":")
        return Plan(
            name=values["name"],
            steps=steps,
            amount=None if share else values["amount"],
            percent_of_last=(values["percent_of_last"] or 0) if share else None,
            floor=values["floor"] if share else None,
            period=values["period"],
            scope=BudgetScope.METER if meter else scope,
            scope_value=meter or (values["project"].strip() if about == PROJECT else ""),
            basis=values["basis"],
        )

    @staticmethod
    def initial_of(plan: Plan) -> dict[str, Any]:
        """A plan as the form shows it."""
        about = f"{OF_METER}{plan.scope_value}" if plan.scope == BudgetScope.METER else plan.scope
        return {
            "name": plan.name,
            "about": about,
            "project": plan.scope_value if plan.scope == BudgetScope.PROJECT else "",
            "period": plan.period,
            "kind": FIXED if plan.percent_of_last is None else SHARE,
            "amount": _plain(plan.amount),
            "percent_of_last": plan.percent_of_last,
            "floor": _plain(plan.floor),
            "basis": plan.basis,
        }


class StepForm(forms.Form):
    """A threshold: the percentage, what happens besides a mail, and who is told. Without a percentage there is none."""

    percent = forms.CharField(
        label=_("At"),
        required=False,
        max_length=6,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    action = forms.ChoiceField(label=_("And then"), required=False, choices=BudgetAction.choices)
    recipients = forms.CharField(
        label=_("Tell"), required=False, max_length=2000,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": _("owners, admins and billing")}),
    )  # fmt: skip

    def clean_percent(self) -> int | None:
        """A whole percentage, or nothing."""
        text = self.cleaned_data["percent"].replace("%", "").strip()
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= 1000:
            raise ValidationError(_("A threshold lies between 1 and 1000 percent."))
        return int(text)

    def clean_recipients(self) -> tuple[str, ...]:
        """Single, valid addresses, each once, in the order given."""
        found: dict[str, None] = {}
        for word in re.split(r"[\s,;]+", self.cleaned_data["recipients"]):
            if not word:
                continue
            try:
                validate_email(word)
            except ValidationError:
                raise ValidationError(_("“%(line)s” is not an e-mail address."), params={"line": word[:80]}) from None
            found[word.lower()] = None
        if len(found) > MOST_RECIPIENTS:
            raise ValidationError(_("Twenty addresses are the most. Use a mailing list for more."))
        return tuple(found)


StepForms = forms.formset_factory(StepForm, extra=BLANKS, max_num=MOST_THRESHOLDS, validate_max=True, absolute_max=40)


def steps_of(rows: Any) -> tuple[Step, ...]:
    """The thresholds that were filled in, in the order in which they stand."""
    filled = [form.cleaned_data for form in rows if form.cleaned_data.get("percent")]
    return tuple(Step(each["percent"], each["action"] or BudgetAction.NOTIFY, each["recipients"]) for each in filled)


def initial_steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Thresholds as the rows show them."""
    return [
        {"percent": step.percent, "action": step.action, "recipients": ", ".join(step.recipients)} for step in steps
    ]


class AcknowledgeForm(forms.Form):
    """A note to an alert."""

    note = forms.CharField(
        label=_("Note"), required=False, max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("What you make of it; everybody who opens this page reads it."),
    )  # fmt: skip


class MuteForm(forms.Form):
    """How long a budget sends no mails."""

    days = forms.ChoiceField(
        label=_("For"),
        choices=[("1", _("A day")), ("7", _("A week")), ("31", _("A month")), ("0", _("Not at all: send mails"))],
    )


def _plain(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount.normalize():f}"
