from __future__ import annotations

from tenants.credentials import apikeys
from tenants.models import Tenant


def service_key(tenant: Tenant) -> str:
    """The text of a new key that may do everything a key may."""
    return apikeys.create(tenant, name="Test", scopes=apikeys.PRESETS["admin"], by=None, actor="system:test").text
