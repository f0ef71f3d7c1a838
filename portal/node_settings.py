"""Settings of `manage.py collect`: a node that reads its GPUs and disks and reports to the portal. No database, no Redis, no secrets of the portal."""

from __future__ import annotations

import socket

from portal import env

env.collect()
NODE_NAME = env.text("NODE_NAME", socket.gethostname())
COLLECTORS = env.structured("COLLECTORS", [])
COLLECTOR_API_URL = env.text("COLLECTOR_API_URL", "")
COLLECTOR_TOKEN = env.text("COLLECTOR_TOKEN", "")
COLLECTOR_BUFFER_DIR = env.text("COLLECTOR_BUFFER_DIR", "/var/lib/aurelius-collector")
COLLECTOR_BUFFER_MB = env.integer("COLLECTOR_BUFFER_MB", 256, minimum=1, maximum=1_000_000)
env.finish()

SECRET_KEY = "a node signs nothing"  # noqa: S105
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "pgtrigger",
    "metering.node_app.NodeMeteringConfig",
    "tenants.apps.TenantsConfig",
]
AUTH_USER_MODEL = "tenants.User"
USE_TZ = True
TIME_ZONE = "UTC"
DATABASES: dict[str, object] = {}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
