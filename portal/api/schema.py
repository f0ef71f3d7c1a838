"""The OpenAPI document, its security schemes, and the page that shows it."""

from __future__ import annotations

import functools
import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from tenants.problems import KINDS

PROBLEM_CODES = [(code, code) for code in sorted(KINDS)]
LIMIT_HEADERS = {
    "X-RateLimit-Limit": ("Calls that the tightest window allows.", {"type": "integer"}),
    "X-RateLimit-Remaining": ("Calls left in it.", {"type": "integer"}),
    "X-RateLimit-Reset": ("When the next call is free again, in epoch seconds.", {"type": "integer"}),
    "RateLimit-Policy": ('All limits, as in `"minute";q=60;w=60, "month";q=1000000`.', {"type": "string"}),
    "RateLimit": ('What is left of each, as in `"minute";r=59;t=60`.', {"type": "string"}),
}


class BearerScheme(OpenApiAuthenticationExtension):
    """API keys and operator tokens."""

    target_class = "portal.api.authentication.PrincipalAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "gpk_<env>_<tenant>_<id>_<secret>",
            "description": "An API key of a tenant (`gpk_…`) or a token of a platform operator (`gpo_…`).",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """The browser session of a signed-in person."""

    target_class = "portal.api.authentication.BrowserSession"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The portal's own session. Writes need the X-CSRFToken header as well.",
        }


def add_limit_headers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: every answer carries the limits, and refusals say how long to wait."""
    components = result.setdefault("components", {})
    components["headers"] = {
        name: {"description": text, "schema": schema} for name, (text, schema) in LIMIT_HEADERS.items()
    } | {"Retry-After": {"description": "Whole seconds to wait.", "schema": {"type": "integer"}}}
    references = {name: {"$ref": f"#/components/headers/{name}"} for name in LIMIT_HEADERS}
    for operations in result.get("paths", {}).values():
        for operation in operations.values():
            for status, response in operation.get("responses", {}).items():
                own = (
                    {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
                    if status in ("409", "429", "503")
                    else {}
                )
                response.setdefault("headers", {}).update(references | own)
    return result


def share_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: problem answers that are the same become one component (Problem400, Problem400b …)."""
    shared: dict[str, Any] = {}
    names: dict[str, str] = {}
    for operations in result.get("paths", {}).values():
        for operation in operations.values():
            for status, response in operation.get("responses", {}).items():
                if "application/problem+json" not in response.get("content", {}):
                    continue
                content = json.dumps(response, sort_keys=True, default=str)
                if content not in names:
                    variants = sum(name.startswith(f"Problem{status}") for name in shared)
                    names[content] = f"Problem{status}" + ("" if not variants else chr(ord("a") + variants))
                    shared[names[content]] = response
                operation["responses"][status] = {"$ref": f"#/components/responses/{names[content]}"}
    result["components"]["responses"] = dict(sorted(shared.items()))
    return result


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI 3 document; it is the same for everybody and does not change while the process runs."""
    return dict(SchemaGenerator().get_schema(request=None, public=True))


@require_safe
def openapi_json(request: HttpRequest) -> HttpResponse:
    """GET /api/v1/openapi.json"""
    return HttpResponse(_json(), content_type="application/vnd.oai.openapi+json")


@require_safe
def openapi_yaml(request: HttpRequest) -> HttpResponse:
    """GET /api/v1/schema: the same as YAML, or as JSON for who asks for it."""
    if "json" in request.headers.get("Accept", ""):
        return openapi_json(request)
    return HttpResponse(_yaml(), content_type="application/vnd.oai.openapi")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """GET /api/v1/docs: Swagger UI from our own server; the strict Content-Security-Policy holds."""
    return render(request, "portal/api/api_docs.html", {"schema_url": reverse("api:openapi")})


@functools.cache
def _json() -> bytes:
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":"), default=str).encode()


@functools.cache
def _yaml() -> bytes:
    return bytes(OpenApiYamlRenderer().render(document(), renderer_context={}))
