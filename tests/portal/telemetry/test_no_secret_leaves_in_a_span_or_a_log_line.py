"""Keys, tokens and passwords go through every door; then all spans, as bytes on the wire, and all log lines are searched for them."""

from __future__ import annotations

import pytest

from portal.telemetry.redaction import scrub
from tests.portal.telemetry.keys import service_key

CANARY = "c4n4ryS3cret-that-must-not-be-seen"
GO = """
    import logging, json, urllib.parse
    import httpx, requests, structlog
    from tenants import spans
    key, canary = sys.argv[1:3]
    client = Client(raise_request_exception=False)
    bearer = {"Authorization": "Bearer " + key}
    client.get("/api/v1/me", headers=bearer)
    client.get("/api/v1/me", headers={"Authorization": "Bearer " + key[:-4] + "wxyz"})
    client.get("/api/v1/me?token=" + canary + "&api_key=" + canary, headers=bearer)
    client.get("/api/v1/me", headers={"Authorization": "Basic " + canary, "Cookie": "sessionid=" + canary, "X-Api-Key": canary})
    client.get("/metrics", headers={"Authorization": "Bearer " + canary})
    client.post("/accounts/login/", {"login": "alice", "password": canary})
    client.get("/accounts/password/reset/key/" + "1-" + canary + "/")
    client.post("/api/v1/events", data=json.dumps({"password": canary}), content_type="application/json", headers=bearer)
    client.get("/api/v1/tenants/" + key, headers=bearer)
    for fail in (lambda: httpx.get("http://user:" + canary + "@127.0.0.1:9/x?token=" + canary),
                 lambda: requests.get("http://user:" + canary + "@127.0.0.1:9/x?token=" + canary)):
        try:
            with spans.span("outgoing"):
                fail()
        except Exception:
            logging.getLogger("x").exception("cannot reach http://user:%s@127.0.0.1", canary)
    try:
        with spans.span("failing", password="password=" + canary, url="postgres://portal:" + canary + "@db/portal"):
            password = canary
            raise ValueError("the key " + key + " and {'secret': '" + canary + "'}")
    except ValueError:
        structlog.get_logger("y").exception("failed", token=canary, authorization="Bearer " + canary, nested={"password": canary})
    logging.getLogger("z").warning("key %s, Authorization: Bearer %s", key, canary)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", ["json", "plain"])
def test_a_canary_is_found_nowhere(cast, child, traced_environment, collector, form):
    key = service_key(cast.acme)
    answer = child(GO, {**traced_environment, "LOG_FORMAT": form}, key, CANARY)
    spans = collector.received.wait_for("failing", "outgoing", "GET api/v1/me")
    secret = key.rsplit("_", 1)[-1] if key.count("_") == 4 else key.split("_", 4)[4]
    wire, lines = collector.received.raw.decode("latin-1"), answer.stderr + answer.stdout

    assert len(spans) > 20
    assert any(span.failed and span.events for span in spans), "errors are recorded"
    for sink in (wire, lines):
        assert CANARY not in sink, _around(sink, CANARY)
        assert secret not in sink, _around(sink, secret)
    assert "trace_id" in lines
    assert key.split("_")[3] in wire + lines, "which key it was may be told"


def _around(text: str, found: str) -> str:
    at = text.index(found)
    return text[max(0, at - 200) : at + 60]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("GET /x?token=abcdef&y=1", "GET /x?token=[redacted]&y=1"),
        ('{"password": "a\\"b", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        ("redis://:hunter2@redis:6379/0", "redis://[redacted]@redis:6379/0"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
        ("gpk_live_acme_abcdefghij234567_" + "s" * 43, "gpk_live_acme_abcdefghij234567_[redacted]"),
        ("tokens used: 12, max_tokens=5 of 7", "tokens used: 12, max_tokens=5 of 7"),
        ("SELECT password FROM users WHERE id = %s", "SELECT password FROM users WHERE id = %s"),
        ('UPDATE users SET password = %s, "token" = %s', 'UPDATE users SET password = %s, "token" = %s'),
        ("https://portal.example.org/t/acme", "https://portal.example.org/t/acme"),
    ],
)
def test_what_is_struck_out_and_what_is_not(text, clean):
    assert scrub(text) == clean
