"""WSGI entry of pages, admin and API."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
application = get_wsgi_application()


def _import_clients() -> None:
    """Cache and broker import their clients when first used, and nothing connects yet.

    In two threads at once, which a new process' first two requests are, one would see `redis` half imported and answer 500.
    """
    from django.core.cache import caches

    from portal.celery import app

    for maker, made in ((caches["default"], "client"), (app.connection_for_write(), "transport")):
        getattr(maker, made)  # made when it is looked at


_import_clients()
