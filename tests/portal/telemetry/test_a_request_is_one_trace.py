"""A request to the API: the server's span, one for the decision, one for each statement, all under the caller's traceparent."""

from __future__ import annotations

import json

import pytest

from tests.portal.telemetry.keys import service_key

pytestmark = pytest.mark.django_db(transaction=True)
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ASK = """
    from portal.telemetry import tiers
    from tenants.enforcement.deciding import tracing
    tracing.enable(tiers.read().get)  # at once: a process that lives knows them after a moment
    headers = {"Authorization": "Bearer " + sys.argv[1], "traceparent": sys.argv[2]}
    print(Client().get("/api/v1/me", headers=headers).status_code)
"""


def test_web_decision_and_database(cast, child, traced_environment, collector):
    answer = child(ASK, traced_environment, service_key(cast.acme), f"00-{TRACE}-{PARENT}-01")
    assert answer.stdout.strip() == "200"
    spans = collector.received.wait_for("GET api/v1/me", "enforcement.decide", "SELECT")

    (server,) = collector.received.named("GET api/v1/me")
    assert (server.kind, server.parent) == ("server", PARENT)
    assert {span.trace for span in spans} == {TRACE}
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["http.route"] == "api/v1/me"
    assert server.attributes["portal.tenant"] == "acme"

    (decision,) = collector.received.named("enforcement.decide")
    assert (decision.kind, decision.parent) == ("internal", server.id)
    assert decision.attributes == {
        "portal.door": "django",
        "portal.tenant": "acme",
        "portal.tier": "standard",
        "portal.route_class": "portal",
        "portal.decision": "granted",
    }

    statements = [span for span in spans if span.kind == "client"]
    assert {span.parent for span in statements} == {server.id, decision.id}
    assert {span.attributes["db.system.name"] for span in statements} == {"postgresql"}
    assert all(
        "%" in span.attributes["db.query.text"] for span in statements if "WHERE" in span.attributes["db.query.text"]
    )


def test_a_trace_that_its_beginner_does_not_keep_is_not_kept(cast, child, traced_environment, collector):
    child(ASK, traced_environment, service_key(cast.acme), f"00-{TRACE}-{PARENT}-00")
    assert collector.received.spans == []


MALFORMED = [
    "",
    "x",
    "00-0-0-01",
    f"00-{'0' * 32}-{'0' * 16}-01",
    f"ff-{TRACE}-{PARENT}-01",
    "00-" + "é" * 32,
    "0" * 9000,
]
ASK_MALFORMED = """
    import json
    for parent in json.loads(sys.argv[2]):
        headers = {"Authorization": "Bearer " + sys.argv[1], "traceparent": parent, "tracestate": "=,," * 500}
        headers["baggage"] = "a=%zz;;;,=," * 900
        print(Client().get("/api/v1/me", headers=headers).status_code)
"""


def test_a_malformed_traceparent_begins_a_trace_of_its_own(cast, child, traced_environment, collector):
    answer = child(ASK_MALFORMED, traced_environment, service_key(cast.acme), json.dumps(MALFORMED))
    assert answer.stdout.split() == ["200"] * len(MALFORMED)
    collector.received.wait_for("GET api/v1/me")
    servers = collector.received.named("GET api/v1/me")
    assert len({server.trace for server in servers} - {TRACE}) == len(MALFORMED)
    assert {server.parent for server in servers} == {""}
