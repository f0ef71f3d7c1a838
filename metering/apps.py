from __future__ import annotations

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """What was done, and what it costs."""

    name = "metering"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from metering import access_notices, checks, counters, tier_currency  # models are there only now
        from metering.quota_requests import telling
        from metering.webhooks import listening
        from tenants.enforcement import ledger

        access_notices.register()
        checks.register()
        ledger.register(counters.CallLedger())
        listening.register()
        telling.register()
        tier_currency.register()
