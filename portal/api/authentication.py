"""From a request to its Caller. The enforcement middleware has verified every bearer credential before this runs."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tenants.api.callers import Caller, key_caller, person_caller, staff_caller
from tenants.enforcement.http.principal import Principal
from tenants.models import OperatorToken, User


class PrincipalAuthentication(BaseAuthentication):
    """`Authorization: Bearer gpk_…` or `gpo_…`. A key costs no query; an operator's rights are read with every request."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        principal: Principal | None = getattr(request, "principal", None)
        if principal is None:
            return None
        if not principal.is_operator:
            return key_caller(principal.tenant_slug, principal.key_id, principal.scopes), None
        token = OperatorToken.objects.select_related("user").filter(token_id=principal.key_id).first()
        caller = staff_caller(token.user, token_id=token.token_id) if token else None
        if caller is None:
            raise AuthenticationFailed
        return caller, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class BrowserSession(SessionAuthentication):
    """The session of a signed-in person, with Django's CSRF token on writes. It never counts beside an Authorization header."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:  # type: ignore[override]
        user = getattr(request._request, "user", None)
        if not isinstance(user, User) or not user.is_active:
            return None
        self.enforce_csrf(request)
        return staff_caller(user) or person_caller(user), None
