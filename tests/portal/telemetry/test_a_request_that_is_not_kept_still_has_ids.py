"""A trace that the dice throw away costs little, but what is called from it learns that it is not kept, and log lines name it."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.django_db(transaction=True)
URLS = """
    import json
    from django.conf import settings
    settings.ROOT_URLCONF = "tests.portal.telemetry.urls_of_a_view_that_names_its_trace"
    client = Client()
"""
ASK = (
    URLS
    + """
    asked = [client.get("/ids"), client.get("/ids", headers={"traceparent": sys.argv[1]}), client.generic("MADE-UP", "/ids")]
    print(json.dumps([each.json() for each in asked]))
"""
)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("ratio", ["0", "1"])
def test_ids(child, traced_environment, collector, ratio):
    answer = child(
        ASK, {**traced_environment, "OTEL_TRACES_SAMPLER_ARG": ratio}, f"00-{TRACE}-00f067aa0ba902b7-0{ratio}"
    )
    own, continued, odd = json.loads(answer.stdout)
    assert [sampled(each["traceparent"]) for each in (own, continued, odd)] == [ratio == "1"] * 3
    assert own["ids"][0] in own["traceparent"]
    assert continued["traceparent"].startswith(f"00-{TRACE}-")
    names = {span.name for span in collector.received.spans}
    assert names == ({"GET ids", "HTTP ids", "below"} if ratio == "1" else set()), "a made-up method is no name"


def sampled(traceparent: str) -> bool:
    return bool(int(traceparent[-2:], 16) & 1)


def test_a_share_is_a_share_of_requests(child, traced_environment, collector):
    child(
        URLS + "    for _ in range(300): client.get('/ids')\n", {**traced_environment, "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    )
    begun = collector.received.named("GET ids")
    assert 110 < len(begun) < 190, "thrown once, not twice"
    assert {span.trace for span in collector.received.spans} == {span.trace for span in begun}
