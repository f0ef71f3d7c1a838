"""Pages of API lists."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request

from tenants.problems import FieldError, Invalid


class Pages(PageNumberPagination):
    """`?page=2&page_size=100`; at most 500 a page. A page that is not there is an error, never the last one."""

    page_size_query_param = "page_size"
    max_page_size = 500

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        if not 1 <= _number(request, "page", 1) <= 10**9:
            raise _invalid("page", "Pages count from 1.")
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound:
            raise _invalid("page", "There is no such page.") from None

    def get_page_size(self, request: Request) -> int | None:
        size = _number(request, "page_size", self.page_size or 50)
        if not 1 <= size <= self.max_page_size:
            raise _invalid("page_size", f"Choose 1 to {self.max_page_size}.")
        return size


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII):
        raise _invalid(name, "Send a whole number.")
    return int(text)


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid(FieldError(f"?{name}", "invalid", detail))
