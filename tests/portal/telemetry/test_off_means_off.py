"""Without a collector nothing of OpenTelemetry is imported, installed or asked, not even by a request with a traceparent."""

from __future__ import annotations

import json

import pytest

from tests.portal.telemetry.keys import service_key

LOOK = """
    import json, psycopg
    from django.conf import settings
    headers = {"Authorization": "Bearer " + sys.argv[1], "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
    status = Client().get("/api/v1/me", headers=headers).status_code
    from metering import tasks
    from metering.telling import notifications
    print(json.dumps({
        "status": status,
        "imported": sorted(name for name in sys.modules if name.startswith(("opentelemetry", "grpc"))),
        "middleware": [name for name in settings.MIDDLEWARE if "opentelemetry" in name],
        "wrapped": hasattr(psycopg.Connection.connect, "__wrapped__") and "opentelemetry" in repr(psycopg.Connection.connect),
    }))
"""


@pytest.mark.django_db(transaction=True)
def test_nothing_is_there(cast, child, server_environment):
    found = json.loads(child(LOOK, server_environment, service_key(cast.acme)).stdout)
    assert found == {"status": 200, "imported": [], "middleware": [], "wrapped": False}
