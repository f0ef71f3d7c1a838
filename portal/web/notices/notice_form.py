"""How mails come, kind by kind."""

from __future__ import annotations

from collections.abc import Mapping

from django import forms

from metering.models import NoticeKind, NoticePace
from metering.telling import notices


class PaceForm(forms.Form):
    """One choice for each kind that the reader is told of."""

    def __init__(self, *args: object, choices: Mapping[NoticeKind, NoticePace], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature
        self.kinds = list(choices)
        for kind, pace in choices.items():
            self.fields[kind] = forms.ChoiceField(label=kind.label, choices=NoticePace.choices, initial=pace)

    @property
    def mandatory(self) -> list[str]:
        """Labels of what the last owner cannot switch off."""
        return [str(kind.label).lower() for kind in self.kinds if kind in notices.MANDATORY]
