"""Two requests at once are the first of a new process: what they would import in two threads is there before them."""

from __future__ import annotations

import os
import subprocess
import sys

IMPORT = """
import sys
import portal.wsgi
before = set(sys.modules)
from django.core.cache import caches
from portal.celery import app
caches["default"].client
app.connection_for_write().transport
print(sorted(name for name in set(sys.modules) - before if name.split(".")[0] in {"redis", "django_redis", "kombu"}))
"""


def test_cache_and_broker_find_their_clients_imported() -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "CACHE_REDIS_URL": "redis://127.0.0.1:1/1",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/2",
    }
    done = subprocess.run([sys.executable, "-c", IMPORT], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr[-2000:]
