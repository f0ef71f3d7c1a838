"""The Celery application: `celery -A portal worker`, `celery -A portal beat`."""

from __future__ import annotations

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect(dispatch_uid="portal.logs")
def log_as_every_process(loglevel: int | None = None, **_: Any) -> None:
    """Celery would put handlers of its own in place of ours: lines without trace, without facts, and without the redaction of secrets.

    `--loglevel` is Celery's own then; LOG_LEVEL holds for the rest.
    """
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
    if loglevel is not None:
        logging.getLogger("celery").setLevel(loglevel)


@celeryd_after_setup.connect(dispatch_uid="portal.node_queue")
def take_from_the_nodes_queue(sender: str, instance: Any, **_: Any) -> None:
    """A worker also takes what only its own node can do: read its GPUs and disks."""
    from django.conf import settings  # is there only once a worker starts

    from metering.collecting.rounds import queue_of

    instance.app.amqp.queues.select_add(queue_of(settings.NODE_NAME))
