"""The base of every serializer that reads a request: what is not expected is refused, not ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from ..problems import FieldError
from .fields import StrictInteger


class StrictSerializer(serializers.Serializer[Any]):
    """Takes a JSON object with the declared members and no others."""

    surplus = "There is no such member."

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError({"non_field_errors": ["Send a JSON object."]}, code="not_an_object")
        surplus = {}
        for name in data:
            field = self.fields.get(str(name))
            if field is None or field.read_only:
                detail = (self.surplus, "unknown") if field is None else ("This member cannot be written.", "read_only")
                surplus[str(name)[:80]] = [ErrorDetail(*detail)]
        if surplus:
            raise serializers.ValidationError(surplus)
        return super().to_internal_value(data)


class QuerySerializer(StrictSerializer):
    """Takes the query of a URL: declared parameters only, each at most once."""

    surplus = "There is no such parameter."

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, QueryDict):
            double = [name for name, values in data.lists() if len(values) > 1]
            if double:
                errors = {name[:80]: [ErrorDetail("Give this parameter once.", "twice")] for name in double}
                raise serializers.ValidationError(errors)
            data = data.dict()
        return super().to_internal_value(data)


class PageQuery(QuerySerializer):
    """The parameters of every list."""

    page = StrictInteger(from_query=True, required=False, min_value=1, default=1, help_text="Pages count from 1.")
    page_size = StrictInteger(
        from_query=True, required=False, min_value=1, max_value=500, default=50, help_text="Rows on a page."
    )


def field_errors(detail: Any, pointer: str = "/") -> Iterator[FieldError]:
    """DRF's nested errors, flat, each with a JSON pointer; with `pointer` "?" the names are query parameters."""
    at_start = pointer in ("/", "?")
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            step = str(name).replace("~", "~0").replace("/", "~1")
            deeper = pointer + step if at_start else f"{pointer}/{step}"
            yield from field_errors(inner, pointer if name == "non_field_errors" else deeper)
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            yield from field_errors(inner, f"{pointer}/{position}" if isinstance(inner, Mapping) else pointer)
    else:
        yield FieldError("" if at_start else pointer, str(getattr(detail, "code", None) or "invalid"), str(detail))
