"""Decision endpoint and ASGI middleware continue the gateway's trace with one span each, whatever the outcome."""

from __future__ import annotations

import json

import pytest

from tests.portal.telemetry.keys import service_key

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ASK = """
    import asyncio, json
    from django.conf import settings
    from portal.telemetry import tiers
    from tenants.enforcement.deciding import tracing
    from tenants.enforcement.asgi import EnforcementMiddleware
    from tenants.enforcement.decision import app as endpoint
    tracing.enable(tiers.read().get)

    async def service(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(app, text, *headers):
        statuses = []
        async def send(message):
            statuses.append(message.get("status"))
        sent = [(b"authorization", b"Bearer " + text.encode())] + [(a.encode(), b.encode("latin-1")) for a, b in headers]
        scope = {"type": "http", "path": "/decide", "method": "GET", "query_string": b"", "headers": sent}
        await app(scope, None, send)
        return statuses[0]

    async def main():
        key, traceparent = sys.argv[1:3]
        unknown = key[:-4] + "aaaa"
        middleware = EnforcementMiddleware(service, redis_url=settings.ENFORCEMENT_REDIS_URL, pepper=settings.API_KEY_PEPPER, timeout=3)
        found = [await ask(endpoint, key, ("traceparent", traceparent)), await ask(endpoint, unknown, ("traceparent", traceparent))]
        found += [await ask(middleware, key, ("traceparent", traceparent))]
        for bad in ("00-zz", "x" * 5000, "\\xff", traceparent + "-" + "9" * 500):
            found.append(await ask(endpoint, key, ("traceparent", bad), ("tracestate", "=,;" * 999), ("baggage", "%" * 9000)))
        return found

    print(json.dumps(asyncio.run(main())))
"""


@pytest.mark.django_db(transaction=True)
def test_doors_without_django(cast, child, traced_environment, collector):
    environment = {**traced_environment, "ENFORCEMENT_TIMEOUT_MS": "3000"}
    answer = child(ASK, environment, service_key(cast.acme), f"00-{TRACE}-{PARENT}-01")
    assert json.loads(answer.stdout) == [200, 401, 200, 200, 200, 200, 200]
    collector.received.wait_for("enforcement.decide")
    decisions = collector.received.named("enforcement.decide")
    assert len(decisions) == 7, "one a decision"
    assert {(span.kind, span.attributes["portal.tenant"]) for span in decisions} == {("server", "acme")}
    continued = [span for span in decisions if span.parent == PARENT]
    assert {span.trace for span in continued} == {TRACE}
    told = [(span.attributes["portal.door"], span.attributes["portal.decision"]) for span in continued]
    assert sorted(told) == [("asgi", "granted"), ("endpoint", "granted"), ("endpoint", "invalid_key")]
    assert {span.attributes["portal.tier"] for span in decisions} == {"standard"}
    begun = [span for span in decisions if span.parent == ""]
    assert len({span.trace for span in begun} - {TRACE}) == 4, "a malformed traceparent begins a trace of its own"
