"""docs/api-reference.md out of the OpenAPI document: every operation with its scopes, fields, problem codes, and how to call it.

`make docs-api` writes it; a test compares.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pprint import pformat
from typing import Any, cast

from django.urls import resolve

Json = dict[str, Any]
PREFIX = "/api/v1/"
HOST = "https://portal.example.org"
WIDTH = 110

HEAD = """# API reference

Generated from the OpenAPI document (`/api/v1/openapi.json`) by `make docs-api`: do not edit it. What holds for every call (credentials, errors,
idempotency, limits, lists) is told in [api.md](api.md); the Python client in [sdk.md](sdk.md).

`$KEY` is an API key or an operator token, `client` is `aurelius.Client()`. Every answer carries `X-RateLimit-Limit`, `-Remaining`, `-Reset`,
`RateLimit` and `RateLimit-Policy`; 429 and 503 carry `Retry-After`. **Scope** is what an API key needs;
`operator` is a token of a platform operator.

The examples say instants by name. For a shell, and for Python:

```sh
NOW=$(date -u +%FT%TZ) SOON=$(date -u -d '+2 weeks' +%FT%H:00:00Z)    # macOS: date -u -v+2w +%FT%H:00:00Z
```

```python
now = datetime.now(timezone.utc).isoformat()
soon = (datetime.now(timezone.utc) + timedelta(weeks=2)).replace(minute=0, second=0, microsecond=0).isoformat()
```
"""
INSTANT = re.compile(r"""(['"](\w+)['"]: )['"]\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ['"]""")
VALUES = {
    "from": "2026-07-01T00:00:00Z", "to": "2026-07-02T00:00:00Z",
    "slug": "acme", "meter": "gpu_hours", "window": "minute", "month": "2026-07", "page": "1", "page_size": "50", "book": "default",
    "number": "1", "position": "1", "extension": "pdf", "user": "alice", "key_id": "abcdefgh23456723",
}  # fmt: skip
UUID = "8e0f4c1a-5b1e-4d57-9c36-0a4a5f3c2f10"
BETTER_CALLS = {
    "reservations_make": 'with reserve(gpus=2, gpu_model="H100", expected_hours=12, labels={"project": "mammography"}) as r:\n    train(environment=r.environment)',
    "events_send": 'events = Events(client, spool="/var/lib/gateway/spool")\nevents.send("gpu_hours", "0.5", id="job-17", model="H100", project="mammography")',
    "estimates_make": 'estimate(client, gpus=2, gpu_model="H100", expected_hours=12)',
}
"""Where the SDK has more than the plain call."""


def markdown(document: Json) -> str:
    """The whole page."""
    return "\n".join(_Page(document).lines()).rstrip() + "\n"


class _Page:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._mentioned: set[str] = set()

    def lines(self) -> Iterator[str]:
        yield HEAD
        tags: dict[str, list[tuple[str, str, Json]]] = {}
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                tags.setdefault(operation["tags"][0], []).append((path, method, operation))
        for tag in sorted(tags):
            yield f"- [{tag}](#{_anchor(tag)}): " + ", ".join(
                f"[{operation['summary']}](#{operation['operationId']})" for _, _, operation in tags[tag]
            )
        for tag in sorted(tags):
            yield f"\n## {tag}"
            for path, method, operation in tags[tag]:
                yield from self._operation(path, method, operation)
        yield from self._objects()

    def _operation(self, path: str, method: str, operation: Json) -> Iterator[str]:
        yield f'\n<a id="{operation["operationId"]}"></a>\n### {operation["summary"]}\n'
        yield f"`{method.upper()} {path}`\n"
        if operation.get("description"):
            yield operation["description"] + "\n"
        yield f"**Scope:** {self._scope(path, method, operation)}\n"
        parameters = [self._resolved(each) for each in operation.get("parameters", [])]
        if parameters:
            yield "| parameter | in | type | |\n|---|---|---|---|"
            for each in parameters:
                needed = " (needed)" if each.get("required") and each["in"] != "path" else ""
                yield f"| `{each['name']}` | {each['in']} | {self._type(each['schema'])}{needed} | {_cell(each.get('description'))} |"
            yield ""
        body = self._media(operation.get("requestBody"))
        if body:
            yield from self._fields("Request", body["schema"])
        problems = []
        for status, response in operation["responses"].items():
            found = self._resolved(response)
            if status < "400":
                media = self._media(found)
                yield from self._fields(f"Answer {status}", media["schema"] if media else None)
            else:
                codes = [each["value"]["code"] for each in self._media(found).get("examples", {}).values()]
                problems.append(f"{status} " + ", ".join(f"`{code}`" for code in codes))
        yield f"**Problems:** {' · '.join(problems)}\n"
        yield from _calls(path, method, operation, parameters, body)

    def _scope(self, path: str, method: str, operation: Json) -> str:
        if not operation.get("security", self._document.get("security", [])) or {} in operation.get("security", []):
            return "none"
        found = resolve(_filled(path, [self._resolved(each) for each in operation.get("parameters", [])]))
        view = getattr(found.func, "cls", None) or getattr(found.func, "view_class", None)
        needs = getattr(view, "needs", None) or {}
        needed = needs.get(method.upper()) if isinstance(needs, Mapping) else needs
        return f"`{getattr(needed, 'value', needed)}`" if needed else "none"

    def _fields(self, title: str, schema: Json | None) -> Iterator[str]:
        """A table of an object's fields; for what is no object, its type in words."""
        if schema is None:
            yield f"**{title}:** no body\n"
            return
        found = self._resolved(schema)
        if found.get("type") == "object" and found.get("properties"):
            yield f"**{title}**\n\n| field | type | |\n|---|---|---|"
            yield from self._rows(found)
            yield ""
        else:
            yield f"**{title}:** {self._type(schema)}\n"

    def _rows(self, schema: Json) -> Iterator[str]:
        needed = set(schema.get("required", ()))
        for name, field in schema["properties"].items():
            optional = "" if name in needed else ", may be left out"
            text = field.get("description") or self._resolved(field).get("description")
            yield f"| `{name}` | {self._type(field)}{optional} | {_cell(text)} |"

    def _type(self, schema: Json) -> str:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if self._resolved(schema).get("enum"):
                return self._type(self._resolved(schema))
            self._mentioned.add(name)
            return f"[{name}](#{name.lower()})"
        for several in ("oneOf", "anyOf", "allOf"):
            if several in schema:
                return " or ".join(self._type(each) for each in schema[several])
        if schema.get("enum"):
            return ", ".join(f"`{json.dumps(each).strip(chr(34))}`" for each in schema["enum"])
        kind = schema.get("type", "any")
        if isinstance(kind, list):
            return " or ".join(kind)
        if kind == "array":
            return f"array of {self._type(schema.get('items', {}))}"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
            return f"object of {self._type(schema['additionalProperties'])}"
        words = [
            str(kind),
            f"({schema['format']})" if schema.get("format") else "",
            "or null" if schema.get("nullable") else "",
        ]
        return " ".join(word for word in words if word)

    def _objects(self) -> Iterator[str]:
        yield "\n## Objects\n\nWhat the tables above name."
        told: set[str] = set()
        while waiting := sorted(self._mentioned - told):
            for name in waiting:
                told.add(name)
                schema = self._document["components"]["schemas"][name]
                yield f'\n<a id="{name.lower()}"></a>\n### {name}\n'
                if schema.get("description"):
                    yield schema["description"] + "\n"
                if schema.get("properties"):
                    yield "| field | type | |\n|---|---|---|"
                    yield from self._rows(schema)
                else:
                    yield self._type(schema)

    def _resolved(self, value: Json) -> Json:
        while "$ref" in value:
            found: Any = self._document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def _media(self, holder: Json | None) -> Json:
        """The media type that a body is told in; {} without a body."""
        content = self._resolved(holder or {}).get("content", {})
        return cast(Json, content.get("application/json") or next(iter(content.values()), {}))


def _calls(path: str, method: str, operation: Json, parameters: list[Json], body: Json) -> Iterator[str]:
    """The call with curl, and with the SDK."""
    query = "&".join(
        f"{each['name']}={_value(each)}" for each in parameters if each["in"] == "query" and each.get("required")
    )
    filled = _filled(path, parameters) + (f"?{query}" if query else "")
    examples: list[Json] = list(body.get("examples", {}).values())
    example = examples[0]["value"] if examples else None
    words = [
        "curl",
        *([] if method == "get" else ["-X", method.upper()]),
        f"{HOST}{filled}",
        "-H",
        '"Authorization: Bearer $KEY"',
    ]
    idempotent = any(each["name"] == "Idempotency-Key" for each in parameters)
    if idempotent:
        words += ["-H", f'"Idempotency-Key: {_key(operation)}"']
    text = " ".join(word if word.startswith('"') else shlex.quote(word) for word in words)
    if example is not None:
        sent = _named(json.dumps(example), lambda name: f"\"'${name.upper()}'\"")
        text += f" \\\n  -H \"Content-Type: application/json\" -d '{sent}'"
    short = filled.removeprefix(PREFIX)
    told = _named(pformat(example, width=WIDTH, sort_dicts=False), str) if example is not None else ""
    if better := BETTER_CALLS.get(operation["operationId"]):
        call = better
    elif method == "get":
        call = f'client.get("{short}")'
    elif method == "post":
        call = f'client.post("{short}"{", " + told if told else ""})'
    else:
        key = f', idempotency_key="{_key(operation)}"' if idempotent else ""
        call = f'client.send("{method.upper()}", "{short}"{", " + told if told else ""}{key})'
    yield f"```sh\n{text}\n```\n\n```python\n{call}\n```"


def _key(operation: Json) -> str:
    """A key of each example's own: the same one with another request would be a conflict."""
    return operation["operationId"].replace("_", "-") + "-4711"


def _named(text: str, as_written: Callable[[str], str]) -> str:
    """The text with `now` and `soon` for its instants: those of the document's examples are over one day, and refused then."""
    return INSTANT.sub(lambda found: found[1] + as_written("now" if found[2] == "time" else "soon"), text)


def _filled(path: str, parameters: list[Json]) -> str:
    for each in parameters:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", _value(each))
    return path


def _value(parameter: Json) -> str:
    schema = parameter["schema"]
    if schema.get("enum"):
        return str(schema["enum"][0])
    if schema.get("format") == "uuid":
        return UUID
    if parameter["name"] in VALUES and schema.get("type") != "integer":
        return VALUES[parameter["name"]]
    return "1" if schema.get("type") == "integer" else UUID if parameter["name"] == "id" else parameter["name"]


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _cell(text: str | None) -> str:
    """A description on one line, without the list of choices that the type column has."""
    told = re.sub(r"(\s*\* `[^`]*` - [^\n]*)+\s*$", "", text or "")
    return " ".join(told.split()).replace("|", "\\|")
