"""What can be wrong with a request, as exceptions that every door (API, pages, admin, commands) turns into its own words.

A problem has a stable `code`; over HTTP it becomes a problem detail (RFC 9457) with the status and title of KINDS. Nothing here
knows HTTP frameworks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from .decisions import PROBLEM_TYPE, PROBLEMS


class Kind(NamedTuple):
    """HTTP status, title and the sentence that is said when nothing more precise is known."""

    status: int
    title: str
    detail: str


KINDS: dict[str, Kind] = {code: Kind(*problem) for code, problem in PROBLEMS.items()} | {
    "validation_error": Kind(400, "Invalid request", "The request has errors; `errors` names each."),
    "malformed_json": Kind(400, "Malformed JSON", "The body is not a JSON document."),
    "bad_request": Kind(400, "Bad request", "The request cannot be understood."),
    "not_authenticated": Kind(401, "Not authenticated", "Send an API key: Authorization: Bearer <key>."),
    "permission_denied": Kind(403, "Permission denied", "Your role does not allow this."),
    "operator_required": Kind(403, "Operator required", "Only a platform operator may do this."),
    "visit_is_read_only": Kind(
        403, "Visits change nothing", "You are on a visit: nothing can be changed until you end it."
    ),
    "not_found": Kind(404, "Not found", "There is nothing here for you."),
    "method_not_allowed": Kind(405, "Method not allowed", "This resource does not take that method."),
    "not_acceptable": Kind(406, "Not acceptable", "Only JSON is served here."),
    "conflict": Kind(409, "Conflict", "The request does not fit the present state."),
    "idempotency_conflict": Kind(409, "Idempotency conflict", "This Idempotency-Key was used with another request."),
    "idempotency_in_progress": Kind(
        409, "In progress", "A request with this Idempotency-Key is still being worked on."
    ),
    "reservation_cap_exceeded": Kind(429, "Reservation cap exceeded", "More than this tenant may reserve at once."),
    "reservations_blocked": Kind(403, "Reservations refused", "New GPU reservations of this tenant are refused."),
    "length_required": Kind(411, "Length required", "Send the body with a Content-Length."),
    "payload_too_large": Kind(413, "Payload too large", "The body is too large."),
    "unsupported_media_type": Kind(415, "Unsupported media type", "Send application/json."),
    "internal_error": Kind(500, "Internal error", "Something went wrong on our side. The request had no effect."),
    "service_unavailable": Kind(503, "Service unavailable", "Try again shortly."),
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong: `pointer` is a JSON pointer into the body ("/limit"), or a query parameter as "?from"."""

    pointer: str
    code: str
    detail: str


@dataclass(eq=False)
class ProblemError(Exception):
    """A refusal with a stable code. `extra` are further members of the answer, `retry_after` whole seconds to wait."""

    code: str
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    retry_after: int | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.code]

    def __str__(self) -> str:
        return self.detail or " ".join(error.detail for error in self.errors) or self.kind.detail

    def body(self, instance: str = "") -> dict[str, Any]:
        """The members of the problem detail."""
        kind = self.kind
        body: dict[str, Any] = {
            "type": PROBLEM_TYPE + self.code,
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail or kind.detail,
            "instance": instance,
            "code": self.code,
            **self.extra,
        }
        if self.errors:
            body["errors"] = [
                {"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in self.errors
            ]
        return body


class Invalid(ProblemError):
    """The values are wrong, whoever sends them; `errors` says which and why."""

    def __init__(self, *errors: FieldError, detail: str = "") -> None:
        super().__init__("validation_error", detail or " ".join(each.detail for each in errors), errors)


class Conflict(ProblemError):
    """The values are fine, but the present state does not allow them."""

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__("conflict", detail, extra=extra)


class Denied(ProblemError):
    """The caller's role or scope does not reach this far."""

    def __init__(self, detail: str, code: str = "permission_denied", **extra: Any) -> None:
        super().__init__(code, detail, extra=extra)


def invalid(name: str, detail: str, code: str = "invalid") -> Invalid:
    """Invalid with one error at the member `name` of the body."""
    return Invalid(FieldError(f"/{name}" if name else "", code, detail))


def from_validation_error(error: ValidationError) -> Invalid:
    """Django's model validation in our words."""
    if not hasattr(error, "error_dict"):
        return Invalid(*_field_errors("", error.error_list))
    return Invalid(*(found for name, errors in error.error_dict.items() for found in _field_errors(name, errors)))


def _field_errors(name: str, errors: Iterable[ValidationError]) -> list[FieldError]:
    pointer = "" if name in ("", NON_FIELD_ERRORS) else f"/{name}"
    return [FieldError(pointer, str(each.code or "invalid"), " ".join(each.messages)) for each in errors]
