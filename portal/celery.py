"""The Celery application: `celery -A portal worker`, `celery -A portal beat`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_after_setup.connect(dispatch_uid="portal.node_queue")
def take_from_the_nodes_queue(sender: str, instance: Any, **_: Any) -> None:
    """A worker also takes what only its own node can do: read its GPUs and disks."""
    from django.conf import settings  # is there only once a worker starts

    from metering.collecting.rounds import queue_of

    instance.app.amqp.queues.select_add(queue_of(settings.NODE_NAME))
