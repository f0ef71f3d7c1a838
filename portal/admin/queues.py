"""How many messages wait in Celery's queues. Asked with short deadlines: a page does not hang on a broker."""

from __future__ import annotations

from dataclasses import dataclass

from kombu.exceptions import ChannelError, OperationalError

from portal.celery import app

AWAY = (OSError, OperationalError, ConnectionError)


@dataclass(frozen=True)
class Queue:
    """A queue and its length, None when the broker does not answer."""

    name: str
    length: int | None


def lengths() -> list[Queue]:
    """Every queue that the Celery application knows; the lengths are None when the broker is away."""
    names = sorted(app.amqp.queues) or [app.conf.task_default_queue]
    try:
        with app.connection_for_read() as connection:
            connection.connect()  # tries once; the channel property would try for ever
            channel = connection.channel()
            return [Queue(name, _length(channel, name)) for name in names]
    except AWAY:
        return [Queue(name, None) for name in names]


def _length(channel: object, name: str) -> int:
    try:
        return int(channel.queue_declare(queue=name, passive=True).message_count)  # type: ignore[attr-defined]
    except ChannelError:  # nobody has sent to it yet
        return 0
