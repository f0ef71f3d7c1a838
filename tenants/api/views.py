"""What every API view does before its handler runs, in one place.

In this order: who calls (401), does the tenant exist for them (404), may they do this (403), has the write been done already
(Idempotency-Key). Then the handler runs in the tenant's row-security scope, operators outside it, and a write that the database
could not serialise is tried again.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

from django.db import OperationalError, connection
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import BasePagination
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from .. import access, idempotency
from ..credentials import apikeys
from ..models import ApiKey, Membership, Tenant, TenantState
from ..models.tenant import SLUG_PATTERN
from ..problems import Denied, Invalid, ProblemError
from .callers import Caller
from .negotiation import JSONOnly
from .serializers import QuerySerializer, StrictSerializer, field_errors

log = logging.getLogger(__name__)

OPERATOR = "operator"
"""In `needs`: only a platform operator may use this method."""
ANYONE = ""
"""In `needs`: every caller who reaches the resource may use this method."""

SAFE_METHODS = frozenset({"GET", "HEAD"})
TRANSIENT = frozenset({"40001", "40P01", "55P03"})
"""SQL states of a serialization failure, a deadlock and a lock timeout."""
ATTEMPTS = 3
KEPT_HEADERS = ("Location", "Cache-Control")

Handler = Callable[..., HttpResponse]
S = TypeVar("S", bound=Serializer[Any])


class ApiView(APIView):
    """A resource of the API. `needs` names the scope that each method asks of a caller, OPERATOR or ANYONE."""

    needs: ClassVar[Mapping[str, str]] = {}
    queries: ClassVar[Mapping[str, type[QuerySerializer]]] = {}
    """The query parameters that each method takes; others are refused. Validated, they are in `params`."""
    content_negotiation_class: type[BaseContentNegotiation] = JSONOnly
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    remembers = True
    """Does an Idempotency-Key count here?"""

    tenant: Tenant | None = None
    membership: Membership | None = None
    params: Mapping[str, Any] = {}

    @property
    def caller(self) -> Caller:
        return cast(Caller, self.request.user)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not isinstance(request.user, Caller):
            raise NotAuthenticated
        self.find_tenant(**kwargs)
        method = str(request.method)
        handler = getattr(self, method.lower(), None)
        if handler is None or method.lower() not in self.http_method_names:
            return  # 405
        self.authorize(method)
        self.params = self._query(self.queries.get("GET" if method == "HEAD" else method, QuerySerializer))
        setattr(self, method.lower(), partial(self._run, handler))

    def find_tenant(self, **kwargs: Any) -> None:
        """Nothing to find: the resource belongs to no tenant."""

    def authorize(self, method: str) -> None:
        """Raise Denied unless the caller may use this method here."""
        needed = self.needs["GET" if method == "HEAD" else method]
        caller = self.caller
        if caller.is_operator:
            if method not in SAFE_METHODS and not caller.may_change:
                raise Denied("Support staff look, and change nothing.")
            return
        if needed == OPERATOR:
            raise Denied("Only a platform operator may do this.", "operator_required")
        if needed != ANYONE:
            self.require_scope(needed)

    def require_scope(self, scope: str) -> None:
        """Raise Denied unless the caller's key has the scope, or their role would allow a key that has it."""
        if scope in self.scopes():
            return
        if self.caller.kind == "key":
            raise Denied(f"This key does not have the scope {scope}.", "insufficient_scope", scope=scope)
        raise Denied("Your role in this tenant does not allow this.")

    def scopes(self) -> frozenset[str]:
        """What the caller may do here."""
        if self.caller.kind == "key":
            return self.caller.scopes
        return apikeys.allowed_scopes(self.membership) if self.caller.is_operator or self.membership else frozenset()

    # ------------------------------------------------------------------------------------------- reading the request

    def body(self, serializer: type[StrictSerializer], **kwargs: Any) -> dict[str, Any]:
        """The validated body. Raises what the exception handler turns into problems."""
        found = serializer(data=self.request.data, context={"view": self, "request": self.request}, **kwargs)
        found.is_valid(raise_exception=True)
        return dict(found.validated_data)

    def _query(self, serializer: type[QuerySerializer]) -> dict[str, Any]:
        found = serializer(data=self.request.query_params, context={"view": self, "request": self.request})
        if not found.is_valid():
            raise Invalid(*field_errors(found.errors, "?"))
        return dict(found.validated_data)

    def page(self, rows: Any, serializer: type[BaseSerializer[Any]]) -> Response:
        """One page of rows, as `?page=` and `?page_size=` say."""
        paginator = cast(type[BasePagination], api_settings.DEFAULT_PAGINATION_CLASS)()
        on_page: Any = paginator.paginate_queryset(rows, self.request, view=self)
        shown = serializer(on_page, many=True, context={"view": self, "request": self.request}).data
        return paginator.get_paginated_response(shown)

    # --------------------------------------------------------------------------------------------------- running it

    def _run(self, handler: Handler, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method in SAFE_METHODS:
            with self._scope():
                return handler(request, *args, **kwargs)
        write = partial(self._write, handler, request, *args, **kwargs)
        return write() if connection.in_atomic_block else _patiently(write)

    def _write(self, handler: Handler, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        if "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers:
            raise ProblemError("length_required")  # WSGI would see an empty body
        key = request.headers.get("Idempotency-Key") if self.remembers else None
        if key is None:
            with self._scope():
                return handler(request, *args, **kwargs)
        fingerprint = idempotency.fingerprint(str(request.method), request.get_full_path(), request.data)
        with idempotency.once(
            self.caller.id, idempotency.check_key(key), fingerprint, self.tenant, timezone.now()
        ) as attempt:
            if attempt.answer:
                return _replayed(attempt.answer)
            with self._scope():
                response = handler(request, *args, **kwargs)
            _keep(attempt, response)
            return response

    def _scope(self) -> Any:
        if self.tenant is None or self.caller.is_operator:
            return nullcontext()
        return access.tenant_scope(self.tenant)


class TenantView(ApiView):
    """A resource of the tenant whose slug is in the URL. Another's tenant and one that does not exist are the same 404."""

    tenant: Tenant

    def find_tenant(self, **kwargs: Any) -> None:
        slug = kwargs["slug"]
        if not re.fullmatch(SLUG_PATTERN, slug):
            raise access.NotFound(slug)
        if self.caller.kind == "person":
            assert self.caller.user is not None  # noqa: S101  (a person is a user)
            found = access.tenant_for_user(self.caller.user, slug)
            self.tenant, self.membership = found.tenant, found.membership
        else:
            self.tenant = access.tenant_by_slug(slug, only=self.caller.slug)

    def authorize(self, method: str) -> None:
        super().authorize(method)
        if method in SAFE_METHODS or self.caller.is_operator:
            return
        if self.tenant.state != TenantState.ACTIVE:
            raise ProblemError(f"tenant_{self.tenant.state}", self.tenant.state_reason)

    def acting_membership(self) -> Membership | None:
        """Whose role limits this caller: the person's, or that of the member whose key it is; None for operators and service keys."""
        if self.caller.kind != "key":
            return self.membership
        key = ApiKey.objects.select_related("membership").filter(tenant=self.tenant, key_id=self.caller.key_id).first()
        return key.membership if key else None

    def held_scopes(self) -> frozenset[str] | None:
        """The scopes of the calling key, which it cannot give more than; None when no key calls."""
        return self.caller.scopes if self.caller.kind == "key" else None


def _patiently(write: Callable[[], HttpResponse]) -> HttpResponse:
    """Run a write; at most twice more when it lost against another one. The transaction is whole, so nothing is half applied."""
    for attempt in range(1, ATTEMPTS):
        try:
            return write()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in TRANSIENT:
                raise
            log.warning(
                "write is tried again", extra={"sqlstate": getattr(error.__cause__, "sqlstate", ""), "attempt": attempt}
            )
            time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311  (jitter, no secret)
    return write()


def _keep(attempt: idempotency.Attempt, response: HttpResponse) -> None:
    if not isinstance(response, Response) or response.status_code >= 300:
        return
    data = getattr(response, "kept_data", response.data)
    body = b"" if data is None else JSONRenderer().render(data)
    headers = {name: response[name] for name in KEPT_HEADERS if response.has_header(name)}
    attempt.keep(response.status_code, body, headers)


def _replayed(record: idempotency.IdempotencyRecord) -> HttpResponse:
    response = HttpResponse(bytes(record.body), status=record.status, content_type="application/json")
    for name, value in record.headers.items():
        response[name] = value
    response["Idempotent-Replayed"] = "true"
    if not record.body:
        del response["Content-Type"]
    return response
