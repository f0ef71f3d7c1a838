"""The Celery application that services publish to and the worker takes from: three queues of our own on the portal's Redis."""

from __future__ import annotations

from celery import Celery

from .config import Config

ML, IMAGES, INDEXING = "ml_inference", "image_processing", "indexing"
QUEUES = (ML, IMAGES, INDEXING)
LONGEST_JOB = 300
"""Seconds after which a job that nobody has finished is another worker's; no job takes nearly as long."""
TASKS = {"platform.infer": ML, "platform.thumbnails": IMAGES, "platform.index": INDEXING}


def celery_app(config: Config) -> Celery:
    """Publishing gives up after seconds; a task that its worker loses is done again."""
    app = Celery("aurelius_platform", set_as_current=False)
    app.conf.update(
        broker_read_url=config.broker_url,  # these two: CELERY_BROKER_URL in the environment would win over the plain one
        broker_write_url=config.broker_url,
        task_ignore_result=True,
        task_routes={name: {"queue": queue} for name, queue in TASKS.items()},
        task_default_queue=IMAGES,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_send_sent_event=True,
        worker_send_task_events=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "visibility_timeout": LONGEST_JOB,
            # Our own, beside the portal's on the same Redis: each takes up again what its own workers lost, after its own time.
            "unacked_key": "platform.unacked",
            "unacked_index_key": "platform.unacked_index",
            "unacked_mutex_key": "platform.unacked_mutex",
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1},
    )
    return app
