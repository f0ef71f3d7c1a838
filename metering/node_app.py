"""Metering on a node that only collects: its models are known, nothing is connected to them."""

from __future__ import annotations

from django.apps import AppConfig


class NodeMeteringConfig(AppConfig):
    """See the module."""

    name = "metering"
    default_auto_field = "django.db.models.BigAutoField"
