"""A span that is sent as every other, and looked for in Jaeger."""

from __future__ import annotations

import time

from django.conf import settings

from portal.doctor import Finding, broken, ok, unset
from portal.doctor.asking import Unanswered, get, shown
from portal.telemetry import config

SERVICE = "portal-doctor"
PATIENCE = 30.0
"""Seconds until a trace must be found: a collector that samples tails decides after 10 s and hands over 2 s later."""
PAUSE = 0.5


def traces() -> Finding:
    """Sends a span by OTEL_EXPORTER_OTLP_*, and finds it again when JAEGER_URL is set."""
    told = config.from_settings()
    if not told.on:
        return unset("OTEL_EXPORTER_OTLP_ENDPOINT is empty: nothing is traced", "Set it to your collector's address.")
    from portal.telemetry import probing

    trace, taken = probing.send(told, SERVICE)
    if not taken:
        mend = "See OTEL_EXPORTER_OTLP_ENDPOINT, …_PROTOCOL, …_HEADERS and …_CERTIFICATE, and the collector's log."
        return broken(f"{shown(told.endpoint)} does not take spans", mend)
    if not settings.JAEGER_URL:
        return ok(f"{shown(told.endpoint)} took a span; JAEGER_URL is empty, so it was not looked for")
    until, problem = time.monotonic() + PATIENCE, ""
    while time.monotonic() < until:
        try:
            if get(settings.JAEGER_URL, f"/api/traces/{trace}", seconds=3)["data"]:
                return ok(f"a span went through {shown(told.endpoint)} and was found in Jaeger")
            problem = ""
        except Unanswered as error:
            problem = "" if " answers 404" in str(error) else str(error)
        time.sleep(PAUSE)
    if problem:
        return broken(
            f"the collector takes spans; {problem}", "See JAEGER_URL (with its path), and whether Jaeger runs."
        )
    mend = "See the collector's exporters and sampling (it must keep portal.doctor=1)."
    return broken(f"the collector took trace {trace}, Jaeger does not have it", mend)
