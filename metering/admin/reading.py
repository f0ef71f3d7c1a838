"""Lists and forms whose columns ask for meters and prices, row by row: each is read once for a page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse

from metering import memo


class ReadOnceMixin:
    """Beside a ModelAdmin: its pages are made, and rendered, inside `memo.remembering`. What is sent (POST) reads afresh."""

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._once(request, super().changelist_view, *args, **kwargs)  # type: ignore[misc]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._once(request, super().changeform_view, *args, **kwargs)  # type: ignore[misc]

    @staticmethod
    def _once(request: HttpRequest, view: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method != "GET":
            return view(request, *args, **kwargs)
        with memo.remembering():
            response = view(request, *args, **kwargs)
            return response.render() if isinstance(response, TemplateResponse) else response
