from __future__ import annotations

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """What was done, and what it costs."""

    name = "metering"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from metering.ledger import counters
        from metering.prices import tier_currency
        from metering.quota_requests import telling
        from metering.telling import access_notices  # models are there only now
        from metering.webhooks import listening
        from tenants.enforcement.counting import ledger

        from . import checks

        access_notices.register()
        checks.register()
        ledger.register(counters.CallLedger())
        listening.register()
        telling.register()
        tier_currency.register()
