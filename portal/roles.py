"""The two groups of platform staff. Made after every migrate, so that a new model is never forgotten.

Operators change what the admin lets anybody change; Support looks and changes nothing. Superusers need neither.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.db.models import Q

OPERATORS = "Operators"
SUPPORT = "Support"
APPS = ("tenants", "metering", "django_celery_beat")
SECRET_BEARING = ("operatortoken",)
"""Models that support staff does not even see: they are credentials of the platform itself."""


def after_migrate(app_config: AppConfig, using: str, **_: Any) -> None:
    """post_migrate: give the groups the permissions that exist now. Idempotent; people stay in their groups."""
    if app_config.label != "tenants":
        return
    from django.contrib.auth.models import Group, Permission

    for label in APPS:
        create_permissions(apps.get_app_config(label), verbosity=0, using=using)
    ours = Permission.objects.using(using).filter(content_type__app_label__in=APPS)
    looking = ours.filter(codename__startswith="view_").exclude(content_type__model__in=SECRET_BEARING)
    changing = ours.exclude(
        Q(codename__startswith="delete_") & Q(content_type__app_label="tenants", content_type__model="user")
    )
    for name, permissions in ((OPERATORS, changing), (SUPPORT, looking)):
        group, _made = Group.objects.using(using).get_or_create(name=name)
        group.permissions.set(permissions)
