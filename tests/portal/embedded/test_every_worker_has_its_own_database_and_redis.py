"""Two workers of one run share a PostgreSQL and nothing else."""

import pytest
from django.conf import settings
from django.db import connection

from tests.servers import servers


@pytest.mark.django_db
def test_the_database_is_named_after_the_worker():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == (servers.database,)
    assert servers.worker in servers.database


def test_redis_is_this_workers(redis_server):
    assert redis_server.url == settings.ENFORCEMENT_REDIS_URL
    assert redis_server.directory.name.endswith(servers.worker)
    assert redis_server.call("PING") == "+PONG"


@pytest.mark.django_db
def test_the_role_of_the_portal_is_no_superuser():
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, False)
