"""The portal's URLs, and one whose request owes an e-mail and asks a worker to send it."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

from metering import tasks
from metering.mail.rendering import Letter
from metering.telling import notifications
from portal.urls import urlpatterns as product


def owe(request: HttpRequest) -> HttpResponse:
    letter = Letter("test", "Hello", "Hello", "")
    with transaction.atomic():
        notifications.owe(letter, key="hello", recipients=["a@b.example"], tenant=None, now=timezone.now())
        transaction.on_commit(tasks.send_notifications.delay)
    return HttpResponse("owed")


urlpatterns = [path("owe", owe), *product]
