from __future__ import annotations

import gzip
from decimal import Decimal

import pytest

from tenants.models import AuditEntry, Override
from tests.portal.api.calling import Api, Callers, problem

PATH = "tenants/acme/rate-limits/minute"

MALFORMED = {
    "truncated": b'{"limit": 1',
    "trailing data": b'{"limit": 1, "reason": "x"} 1',
    "duplicate members": b'{"limit": 1, "limit": 100, "reason": "x"}',
    "duplicate members deep inside": b'{"limit": {"a": [{"b": 1, "b": 2}]}, "reason": "x"}',
    "a hundred thousand levels": b"[" * 100_000,
    "a hundred thousand levels, closed": b"[" * 100_000 + b"]" * 100_000,
    "objects within objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "levels behind a string of quotes": b'{"x": "' + b'\\"' * 100_000 + b'", "a": ' + b"[" * 40 + b"]" * 40 + b"}",
    "a byte order mark": b'\xef\xbb\xbf{"limit": 1, "reason": "x"}',
    "utf-16": '{"limit": 1, "reason": "x"}'.encode("utf-16"),
    "utf-16 without a mark": '{"limit": 1, "reason": "x"}'.encode("utf-16-le"),
    "latin-1": '{"limit": 1, "reason": "é"}'.encode("latin-1"),
    "NaN": b'{"limit": NaN, "reason": "x"}',
    "Infinity": b'{"limit": Infinity, "reason": "x"}',
    "-Infinity": b'{"limit": -Infinity, "reason": "x"}',
    "1e400": b'{"limit": 1e400, "reason": "x"}',
    "1e-400": b'{"limit": 1e-400, "reason": "x"}',
    "-0": b'{"limit": -0, "reason": "x"}',
    "-0.0": b'{"limit": -0.0, "reason": "x"}',
    "5,000 digits": b'{"limit": ' + b"9" * 5000 + b', "reason": "x"}',
    "5,000 decimals": b'{"limit": 0.' + b"9" * 5000 + b', "reason": "x"}',
    "NUL": rb'{"limit": 1, "reason": "a\u0000b"}',
    "NUL in a name": rb'{"limit": 1, "reason": "x", "a\u0000": 1}',
    "half a surrogate pair": rb'{"limit": 1, "reason": "a\ud800b"}',
    "a raw control character": b'{"limit": 1, "reason": "a\x01b"}',
    "single quotes": b"{'limit': 1}",
    "a comment": b'{"limit": 1 /* one */, "reason": "x"}',
    "a hundred thousand members": b"{" + b",".join(b'"a%d":1' % n for n in range(80_000)) + b"}",
    "an empty text": b" ",
    "hexadecimal": b'{"limit": 0x10, "reason": "x"}',
    "a leading zero": b'{"limit": 010, "reason": "x"}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(operator: Api, name: str) -> None:
    entries = AuditEntry.objects.count()
    found = problem(operator.put(PATH, MALFORMED[name]), 400, "malformed_json")
    assert len(found["detail"]) < 300
    assert (Override.objects.count(), AuditEntry.objects.count()) == (0, entries)


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("1_000", "invalid"), ("１２", "invalid"), ("0x10", "invalid"), ("1,5", "invalid"), (" 1", "invalid"), ("+1", "invalid"),
        ("1e3", "invalid"), ("", "invalid"), ("NaN", "invalid"), ("٣", "invalid"), ("-0", "invalid"), (True, "invalid"), (False, "invalid"),
        ([1], "invalid"), ({"a": 1}, "invalid"), (-1, "out_of_range"), (10**30, None), (1e-7, None), (0.5, "not_whole"),
        ("1.5", "not_whole"), (500_000_001, "out_of_range"),
    ],
)  # fmt: skip
def test_numbers(operator: Api, limit: object, code: str | None) -> None:
    found = problem(operator.put(PATH, {"limit": limit, "reason": "x"}), 400, "validation_error")
    assert [error["pointer"] for error in found["errors"]] == ["/limit"]
    assert code in (None, found["errors"][0]["code"])
    assert not Override.objects.exists()


@pytest.mark.parametrize(
    ("limit", "kept"), [(0, 0), ("5", 5), (5.0, 5), (Decimal("1E+2"), 100), ("500000000", 500_000_000)]
)
def test_good_numbers(operator: Api, limit: object, kept: int) -> None:
    body = b'{"limit": 1E+2, "reason": "x"}' if isinstance(limit, Decimal) else {"limit": limit, "reason": "x"}
    assert operator.put(PATH, body).json()["limit"] == kept


@pytest.mark.parametrize(
    "instant",
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2099-01-01T00:00:00", "2099-01-01", "2099-01-01T25:00:00Z", "2099-01-01T00:00:60Z",
     "2099-02-30T00:00:00Z", 4070908800, 4070908800000, "4070908800000", "2099-01-01T00:00:00+25:00", "tomorrow", "", True, [], "２099-01-01T00:00:00Z",
     "2020-01-01T00:00:00Z"],
)  # fmt: skip
def test_instants(operator: Api, instant: object) -> None:
    found = problem(operator.put(PATH, {"limit": 1, "reason": "x", "valid_until": instant}), 400, "validation_error")
    assert [error["pointer"] for error in found["errors"]] == ["/valid_until"]
    assert not Override.objects.exists()


@pytest.mark.parametrize(
    "text",
    ["", "   ", "x" * 301, "a\u202eb", "a\u200bb", "a\rb", "a\nb", 5, None, True, ["x"], {"x": 1}, "\ufeffx", "a\x7fb"],
)
def test_texts(operator: Api, text: object) -> None:
    found = problem(operator.put(PATH, {"limit": 1, "reason": text}), 400, "validation_error")
    assert [error["pointer"] for error in found["errors"]] == ["/reason"]
    assert not Override.objects.exists()


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "{{7*7}}",
        "Robert'); DROP TABLE tenants_tenant;--",
        '"} or {"',
        "=cmd|'/c calc'!A1",
        "🩻 naïve",
    ],
)
def test_texts_that_only_look_bad_are_kept_as_they_are(operator: Api, text: str) -> None:
    assert operator.put(PATH, {"limit": 1, "reason": text}).json()["reason"] == text


def test_twins_in_unicode_become_one_text(operator: Api) -> None:
    assert operator.put(PATH, {"limit": 1, "reason": "e\u0301"}).json()["reason"] == "\u00e9"


@pytest.mark.parametrize("body", [[], ["limit"], "limit", 5, None, True])
def test_no_object(operator: Api, body: object) -> None:
    problem(operator.put(PATH, b"null" if body is None else body), 400, "validation_error")


def test_members_that_are_none_are_named(operator: Api) -> None:
    found = problem(
        operator.put(PATH, {"limit": 1, "reason": "x", "a/b~": 1, "Limit": 2, "mode": "soft"}), 400, "validation_error"
    )
    assert {error["pointer"]: error["code"] for error in found["errors"]} == {
        "/a~1b~0": "unknown",
        "/Limit": "unknown",
        "/mode": "unknown",
    }


def test_all_errors_come_at_once(operator: Api) -> None:
    found = problem(operator.put(PATH, {"valid_until": "x"}), 400, "validation_error")
    assert {error["pointer"]: error["code"] for error in found["errors"]} == {
        "/limit": "required", "/reason": "required", "/valid_until": "instant",
    }  # fmt: skip


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "", "json", "application/jsonx",
     "application/json; charset=utf-16", "application/json; charset=latin-1"],
)  # fmt: skip
def test_other_media_types(operator: Api, content_type: str) -> None:
    problem(
        operator.put(PATH, b'{"limit": 1, "reason": "x"}', content_type=content_type), 415, "unsupported_media_type"
    )
    assert not Override.objects.exists()


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
def test_spellings_of_json(operator: Api, content_type: str) -> None:
    assert operator.put(PATH, b'{"limit": 1, "reason": "x"}', content_type=content_type).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_compressed_bodies(operator: Api, encoding: str) -> None:
    bomb = gzip.compress(b" " * 5_000_000 + b"{}")
    problem(operator.put(PATH, bomb, Content_Encoding=encoding), 415, "unsupported_media_type")


@pytest.mark.parametrize("size", [1_048_577, 9 * 1024 * 1024])
def test_large_bodies(operator: Api, size: int) -> None:
    body = b'{"limit": 1, "reason": "' + b"x" * size + b'"}'
    found = problem(operator.put(PATH, body), 413, "payload_too_large")
    assert found["max_bytes"] == 1_048_576


def test_an_empty_body_lacks_everything(operator: Api) -> None:
    assert len(problem(operator.put(PATH), 400, "validation_error")["errors"]) == 2


def test_method_overrides_are_ignored(callers: Callers) -> None:
    key = callers.key()
    assert key.get("me", X_HTTP_Method_Override="DELETE", X_Method_Override="PUT").status_code == 200


def test_a_long_header_and_a_long_path_do_no_harm(callers: Callers) -> None:
    key = callers.key()
    assert key.get("me", X_Long="x" * 100_000).status_code == 200
    problem(key.get("tenants/" + "x" * 50_000), 404, "not_found")
