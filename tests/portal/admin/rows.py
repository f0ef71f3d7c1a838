"""A few rows of any model, for tests that only need lists and forms to have something to show."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import DatabaseError, models, transaction
from django.utils import timezone

from tenants.models import Tenant


def fill(model: type[models.Model], tenants: Sequence[Tenant]) -> int:
    """One row for each tenant where there are none yet; how many there are then. Rows that a constraint refuses are left out."""
    if not model._default_manager.exists():
        for number, tenant in enumerate(tenants):
            values = {field.name: _value(field, number, tenant) for field in _required(model)}
            try:
                with transaction.atomic():
                    model._default_manager.create(**values)
            except (DatabaseError, ValidationError, ValueError):
                break
    return model._default_manager.count()


def _required(model: type[models.Model]) -> list[Any]:
    fields = [field for field in model._meta.concrete_fields if not (field.auto_created or field.has_default())]
    return [field for field in fields if not field.null or field.name == "tenant"]


def _value(field: Any, number: int, tenant: Tenant) -> Any:
    if field.is_relation:
        if field.related_model is Tenant:
            return tenant
        rows = field.related_model._default_manager
        mine = [each.name for each in field.related_model._meta.fields if each.name == "tenant"]
        return (rows.filter(tenant=tenant).first() if mine else None) or rows.first()
    if field.choices:
        return field.choices[0][0]
    if field.name == "currency":
        return "USD"
    now = timezone.now()
    for kind, value in (
        (models.DateTimeField, now - timedelta(days=number)),
        (models.DateField, date(2026, 6, 1 + number)),
        (models.BooleanField, False),
        (models.DecimalField, Decimal(1 + number)),
        (models.IntegerField, max([1, *(each.limit_value for each in field.validators if isinstance(each, MinValueValidator))]) + number),
        (models.JSONField, []),
        (models.UUIDField, uuid.UUID(int=number)),
        (models.URLField, f"https://{number}.example/"),
        (models.EmailField, f"{number}@tenant.example"),
        (models.BinaryField, bytes([number])),
    ):  # fmt: skip
        if isinstance(field, kind):
            return value
    return f"{field.name[:6]}{number}"[: field.max_length or 20]
