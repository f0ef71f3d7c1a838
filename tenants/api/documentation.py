"""How operations are described in the OpenAPI document: one decorator, so that no operation forgets its problems and headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from ..decisions import PROBLEM_TYPE
from ..problems import KINDS

PROBLEM_MEDIA_TYPE = "application/problem+json"
EVERYWHERE = (
    "invalid_key",
    "not_authenticated",
    "rate_limit_exceeded",
    "quota_exceeded",
    "internal_error",
    "enforcement_unavailable",
)
READING = ("validation_error",)
WRITING = (
    "validation_error", "malformed_json", "idempotency_conflict", "idempotency_in_progress", "payload_too_large",
    "length_required", "unsupported_media_type", "service_unavailable",
)  # fmt: skip
OF_A_TENANT = (
    "insufficient_scope",
    "permission_denied",
    "tenant_suspended",
    "tenant_closed",
    "budget_exhausted",
    "not_found",
)

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 visible ASCII characters. The same key with the same request gets the same answer and no second effect, "
    "with `Idempotent-Replayed: true`, for 24 hours.",
)


class FieldErrorSerializer(serializers.Serializer[Any]):
    """One thing that is wrong with a request."""

    pointer = serializers.CharField(
        help_text="JSON pointer into the body (`/limit`), or a query parameter (`?from`); empty for the whole."
    )
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """Problem details (RFC 9457). Act on `code`; it never changes its meaning. Some problems have further members."""

    type = serializers.CharField(help_text="A URI that names the kind of problem.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField(required=False, help_text="The path that was asked for.")
    code = serializers.ChoiceField(choices=[(code, code) for code in sorted(KINDS)])
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


def page_of(serializer: type[serializers.Serializer[Any]]) -> Any:
    """The shape of one page of a list."""
    name = serializer.__name__.removesuffix("Serializer") + "Page"
    return inline_serializer(
        name,
        {
            "count": serializers.IntegerField(help_text="Rows on all pages."),
            "next": serializers.CharField(allow_null=True, help_text="URL of the next page."),
            "previous": serializers.CharField(allow_null=True, help_text="URL of the page before."),
            "results": serializer(many=True),
        },
    )


def operation(
    operation_id: str,
    summary: str,
    *,
    answer: Any = None,
    status: int = 200,
    request: Any = None,
    query: Any = None,
    problems: Iterable[str] = (),
    examples: Sequence[OpenApiExample] = (),
    tags: Sequence[str] = (),
    of_tenant: bool = True,
    writes: bool | None = None,
    idempotent: bool = True,
    more_answers: dict[Any, Any] | None = None,
    media_type: str = "",
) -> Callable[[Any], Any]:
    """Describe a handler. Its docstring is the description; the problems of every such operation are added to `problems`.

    `media_type` is that of an answer which is no JSON, such as text/csv.
    """
    writing = request is not None or status in (201, 204) if writes is None else writes
    codes = [*EVERYWHERE, *(WRITING if writing else READING), *(OF_A_TENANT if of_tenant else ()), *problems]
    parameters = [each for each in (query,) if each is not None]
    if writing and idempotent:
        parameters.append(IDEMPOTENCY_KEY)
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        tags=list(tags) or None,
        request=request,
        parameters=parameters,
        responses={
            (status, media_type) if media_type else status: OpenApiResponse(answer, "Done." if answer is None else ""),
            **(more_answers or {}),
            **_problem_responses(codes),
        },
        examples=[*examples, *_problem_examples(codes)],
    )


def example(name: str, value: Any, *, request: bool = False, status: int = 200) -> OpenApiExample:
    """An example of a request body or of an answer."""
    if request:
        return OpenApiExample(name, value=value, request_only=True)
    return OpenApiExample(name, value=value, response_only=True, status_codes=[str(status)])


def _problem_responses(codes: Iterable[str]) -> dict[Any, Any]:
    by_status: dict[int, list[str]] = {}
    for code in codes:
        found = by_status.setdefault(KINDS[code].status, [])
        if code not in found:
            found.append(code)
    return {
        (status, PROBLEM_MEDIA_TYPE): OpenApiResponse(ProblemSerializer, " or ".join(f"`{code}`" for code in found))
        for status, found in sorted(by_status.items())
    }


def _problem_examples(codes: Iterable[str]) -> list[OpenApiExample]:
    return [
        OpenApiExample(
            code,
            value={
                "type": PROBLEM_TYPE + code,
                "title": kind.title,
                "status": kind.status,
                "detail": kind.detail,
                "code": code,
            },
            media_type=PROBLEM_MEDIA_TYPE,
            response_only=True,
            status_codes=[str(kind.status)],
        )
        for code, kind in ((code, KINDS[code]) for code in dict.fromkeys(codes))
    ]
