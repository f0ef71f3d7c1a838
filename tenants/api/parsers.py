"""JSON as it should have been: no duplicate keys, no NaN, no surprises in numbers, bounded in size, depth and members.

A document that Python's parser would bend into something is refused instead, before anything is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any

from django.core.exceptions import RequestDataTooBig
from django.http.request import UnreadablePostError
from rest_framework.parsers import BaseParser

from ..problems import ProblemError

MEBIBYTE = 1024 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 40
"""Characters of one number."""
LARGEST_EXPONENT = 40

# A string that never ends is one token too: otherwise each of its escaped quotes would start the search again.
_NESTING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_SUSPICIOUS_TEXT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_FORBIDDEN_TEXT = re.compile("[\x00\ud800-\udfff]")


class StrictJSONParser(BaseParser):
    """`application/json` in UTF-8 without content encoding. Numbers with a point or exponent are Decimal."""

    media_type = "application/json"
    max_bytes = MEBIBYTE
    max_members = 20_000
    """Members of all objects and items of all arrays together."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The document. Raises ProblemError malformed_json, payload_too_large or unsupported_media_type."""
        request = (parser_context or {}).get("request")
        if request is not None:
            _check_headers(request.META, self.max_bytes)
        return loads(self._read(stream), max_members=self.max_members)

    def _read(self, stream: IO[bytes]) -> bytes:
        try:
            body = stream.read(self.max_bytes + 1)
        except RequestDataTooBig:
            raise _too_large(self.max_bytes) from None
        except UnreadablePostError:
            raise _malformed("The body ended before its announced length.") from None
        if len(body) > self.max_bytes:
            raise _too_large(self.max_bytes)
        return body


def loads(body: bytes, *, max_members: int = 20_000) -> Any:
    """Parse a UTF-8 JSON document strictly. Raises ProblemError malformed_json."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise _malformed("The body starts with a byte order mark. Send UTF-8 without one.")
    opened = body.count(b"[") + body.count(b"{")
    if opened > max_members or body.count(b",") + body.count(b":") > 2 * max_members:
        raise _malformed(f"The document has too many members; {max_members:,} are allowed.")
    if opened > MAX_DEPTH:
        _refuse_deep(body)
    try:
        text = body.decode()
        document = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise _malformed("The body is not UTF-8.") from None
    except _NotStrict as error:
        raise _malformed(str(error)) from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}.") from None
    if _SUSPICIOUS_TEXT.search(body):
        _refuse_text(document)
    return document


class _NotStrict(ValueError):
    """JSON that parsers read differently."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for position, name in enumerate(names) if name in names[:position])
        raise _NotStrict(f"The member {json.dumps(double[:80])} is there twice.")
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _NotStrict(f"A number has more than {MAX_DIGITS} digits.")
    if text == "-0":
        raise _NotStrict("-0 is not a number here.")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise _NotStrict(f"A number has more than {MAX_DIGITS} digits.")
    value = Decimal(text)
    if (
        not -LARGEST_EXPONENT <= value.adjusted() <= LARGEST_EXPONENT
        or int(value.as_tuple().exponent) < -LARGEST_EXPONENT
    ):
        raise _NotStrict("A number is out of range.")
    if not value and text.startswith("-"):
        raise _NotStrict("-0 is not a number here.")
    return value


def _constant(name: str) -> Any:
    raise _NotStrict(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_decimal, parse_constant=_constant, strict=True
)


def _refuse_deep(body: bytes) -> None:
    depth = 0
    for token in _NESTING.finditer(body):
        opening = body[token.start()]
        if opening in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _malformed(f"The document is nested more than {MAX_DEPTH} levels deep.")
        elif opening in b"]}":
            depth -= 1


def _refuse_text(document: Any) -> None:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if _FORBIDDEN_TEXT.search(value):
                raise _malformed("A text contains U+0000 or half of a surrogate pair.")
        elif isinstance(value, dict):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_headers(meta: Mapping[str, Any], max_bytes: int) -> None:
    encoding = meta.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in ("", "identity"):
        raise ProblemError("unsupported_media_type", "Send the body without Content-Encoding.")
    charset = re.search(r'charset\s*=\s*"?([^";\s]*)', meta.get("CONTENT_TYPE", ""), re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8"):
        raise ProblemError("unsupported_media_type", "Send the body in UTF-8.")
    length = meta.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)


def _malformed(detail: str) -> ProblemError:
    return ProblemError("malformed_json", detail)


def _too_large(max_bytes: int) -> ProblemError:
    return ProblemError(
        "payload_too_large", f"The body is larger than {max_bytes:,} bytes.", extra={"max_bytes": max_bytes}
    )
