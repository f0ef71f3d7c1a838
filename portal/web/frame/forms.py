"""Forms of the portal: they read and check what people type; use-case modules decide and write."""

from __future__ import annotations

from django import forms

from tenants.problems import ProblemError


def show_problem(form: forms.Form, problem: ProblemError) -> None:
    """Put what a use case refused where the reader sees it: at the field that it names, else above the form."""
    for error in problem.errors:
        name = error.pointer.strip("/")
        form.add_error(name if name in form.fields else None, error.detail)
    if not problem.errors:
        form.add_error(None, str(problem))
