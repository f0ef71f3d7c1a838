"""The span of a statement that fails names the error and its SQLSTATE; the message, which quotes rows, stays out of it."""

from __future__ import annotations

import pytest

FAIL = """
    from django.db import connection, IntegrityError
    from tenants import spans
    from tenants.models import User
    with spans.span("work"):
        for _ in range(2):
            try:
                User.objects.create_user("doppelganger", "someone@private.example")
            except IntegrityError:
                pass
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 + %s", [1])
            assert cursor.fetchone() == (2,)
"""


@pytest.mark.django_db(transaction=True)
def test_the_error_is_named(child, traced_environment, collector):
    child(FAIL, traced_environment)
    collector.received.wait_for("work", "INSERT")
    good, bad = collector.received.named("INSERT")
    assert (good.failed, bad.failed) == (False, True)
    assert bad.attributes["error.type"] == "UniqueViolation"
    assert bad.attributes["db.response.status_code"] == "23505"
    assert "error.type" not in good.attributes, "the same statement, told apart"
    assert b"doppelganger" not in collector.received.raw
    (work,) = collector.received.named("work")
    assert {good.parent, bad.parent} == {work.id}
