"""Every mail with made-up facts, to be looked at: `manage.py preview_mails <folder>`, and the tests that read them all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from metering.forecasting import Forecast, Range
from metering.money import Money

from .anomalies import AnomalyFacts, spend_anomaly
from .billing import TakenBackFacts, credit_note_issued, invoice_void
from .digest import Item, access_changed, digest, export_ready
from .finance import Report, Row, finance_letter
from .gpus import IdleFacts, NobodysFacts, ReleaseFacts, idle, release_announced, released, unattributed
from .letters import BackUnderFacts, BudgetFacts, CostLine, QuotaFacts, back_under_notice, budget_alert, quota_alert
from .rendering import Letter

NOW = datetime(2026, 7, 18, 12, 5, tzinfo=UTC)


def _usd(text: str) -> Money:
    return Money(Decimal(text), "USD")


def _forecast(so_far: int, end: int) -> Forecast:
    days = [date(2026, 7, 18) + timedelta(days=number) for number in range(14)]
    path = tuple(
        (day, Range(*(Decimal(so_far + (end - so_far) * (number + 1) * part // 1400) for part in (90, 100, 112))))
        for number, day in enumerate(days)
    )
    return Forecast("good", 90, Decimal(so_far), date(2026, 7, 31), path)


_LINES = (
    CostLine("API calls", _usd("1204.33"), "1,204,332 calls"),
    CostLine("GPU hours", _usd("6875.00"), "2,750 GPU hours"),
    CostLine("Storage", _usd("233.07"), "10,133 GB-months"),
)


def budget_80() -> Letter:
    facts = BudgetFacts(
        "Acme Radiology", "acme", "Europe/Zurich", "Monthly budget", _usd("8312.40"), _usd("10000.00"), Decimal("83.124"), (80, 90, 100),
        "2026-07", _LINES, _forecast(8312, 12_450),
    )  # fmt: skip
    return budget_alert(facts, NOW)


def budget_exceeded() -> Letter:
    facts = BudgetFacts(
        "Acme Radiology", "acme", "Europe/Zurich", "Monthly budget", _usd("10512.65"), _usd("10000.00"), Decimal("105.1265"), (80, 90, 100),
        "2026-07", (*_LINES[:1], CostLine("GPU hours", _usd("9075.25"), "3,630 GPU hours"), _LINES[2]), _forecast(10_512, 15_120), listed=True,
    )  # fmt: skip
    return budget_alert(facts, NOW)


def budget_blocked() -> Letter:
    facts = BudgetFacts(
        "Acme Radiology", "acme", "Europe/Zurich", "Monthly budget", _usd("10012.65"), _usd("10000.00"), Decimal("100.1265"), (80, 100),
        "2026-07", _LINES, None, consequence="100% of the budget “Monthly budget” ($10,000.00) is spent. Calls are refused until "
        "Aug 1, 2026, 00:00 CEST, or until the budget is raised. Nothing is deleted.",
    )  # fmt: skip
    return budget_alert(facts, NOW)


def budget_back_under() -> Letter:
    facts = BackUnderFacts(
        "Acme Radiology", "acme", "Europe/Zurich", "Monthly budget", _usd("10012.65"), _usd("15000.00"), Decimal(10_000), Decimal("66.75"),
        (80, 100), "2026-07", resumed=True,
    )  # fmt: skip
    return back_under_notice(facts, NOW)


def platform_budget() -> Letter:
    lines = [
        CostLine("Acme Radiology", _usd("4212.00")), CostLine("Northwind Imaging", _usd("2310.55")),
        CostLine("St. Gallen University Hospital", _usd("911.20")), CostLine("24 others", _usd("1602.25")),
    ]  # fmt: skip
    facts = BudgetFacts(
        "Platform", None, "UTC", "Platform budget", _usd("9036.00"), _usd("10000.00"), Decimal("90.36"), (80, 90, 100), "2026-07", lines,
        None, level="warning", remark="Tenants that are billed in another currency than USD are not in this sum: 2.",
    )  # fmt: skip
    return budget_alert(facts, NOW)


def quota_80() -> Letter:
    facts = QuotaFacts(
        "Acme Radiology", "acme", "Europe/Zurich", "gpu_hours", "GPU hours", "hour", Decimal("81.4"), Decimal(100),
        datetime(2026, 7, 31, 22, 0, tzinfo=UTC), "2026-07",
    )  # fmt: skip
    return quota_alert(facts, NOW)


def quota_full() -> Letter:
    facts = QuotaFacts(
        "Acme Radiology", "acme", "Europe/Zurich", "api_calls", "API calls", "call", Decimal(1_000_000), Decimal(1_000_000),
        datetime(2026, 7, 31, 22, 0, tzinfo=UTC), "2026-07",
    )  # fmt: skip
    return quota_alert(facts, NOW)


def storage_quota() -> Letter:
    facts = QuotaFacts(
        "Acme Radiology", "acme", "Europe/Zurich", "storage_gb", "Storage", "GB", Decimal("1043.7"), Decimal(1000),
        datetime(2026, 7, 31, 22, 0, tzinfo=UTC), "2026-07", mode="soft", is_level=True,
    )  # fmt: skip
    return quota_alert(facts, NOW)


def anomaly() -> Letter:
    facts = AnomalyFacts(
        "Acme Radiology", "acme", "Europe/Zurich", date(2026, 7, 17), "high", Decimal("812.40"), Decimal("268.10"), Decimal("190.00"),
        Decimal("346.20"), "USD", "GPU hours", Decimal("0.01"),
    )  # fmt: skip
    return spend_anomaly(facts)


def finance() -> Letter:
    rows = (
        Row(
            "acme",
            "Acme Radiology",
            _usd("8312.40"),
            _usd("7101.00"),
            _usd("673.30"),
            _usd("8985.70"),
            "2026-000041",
            "issued",
        ),
        Row("northwind", "Northwind Imaging", _usd("2310.55"), _usd("0.00"), None, None, "", "no invoice"),
    )
    return finance_letter(Report("2026-06", rows), "month,tenant\r\n2026-06,acme\r\n", NOW)


def gpu_unattributed() -> Letter:
    facts = [
        NobodysFacts("H100 0 on gpu-01", Decimal("3.25"), ["python (pid 4711): no PORTAL_TENANT in its environment"])
    ]
    return unattributed(facts, 1, NOW)


def gpu_idle() -> Letter:
    facts = IdleFacts(
        "Acme Radiology",
        "acme",
        "Europe/Zurich",
        "H100 0 on gpu-01",
        NOW - timedelta(hours=5),
        timedelta(hours=5),
        "$2.50",
    )
    return idle(facts, NOW)


_RELEASE = ReleaseFacts(
    "Acme Radiology", "acme", "Europe/Zurich", "2 × H100", timedelta(hours=2, minutes=10), NOW + timedelta(hours=1)
)


def gpu_release_announced() -> Letter:
    return release_announced(_RELEASE, NOW)


def gpu_released() -> Letter:
    return released(_RELEASE, NOW)


def notices_of_a_day() -> Letter:
    site = "https://portal.example.org/t/acme"
    items = [
        Item("Acme Radiology: 80% of the month’s GPU hours are used", NOW, f"{site}/quotas"),
        Item("Acme Radiology: invoice INV-000041 is issued", NOW, f"{site}/invoices"),
    ]
    return digest("Acme Radiology", "acme", "Europe/Zurich", items)


def joined() -> Letter:
    text = "Bob Meier has joined as member. If you did not expect it, remove the member and look at who invited them."
    return access_changed("Acme Radiology", "acme", "Europe/Zurich", "Bob Meier is a member now", text, NOW)


def file_ready() -> Letter:
    return export_ready(
        "Acme Radiology", "acme", "Europe/Zurich", "acme-usage-events-2026-07-01-2026-07-31.csv", 81_204, NOW
    )


_TAKEN_BACK = TakenBackFacts(
    "INV-000041", "acme", "Aurelius Compute AG", "Acme Radiology", "Europe/Zurich", "2026-06", "Outage on 3 June", _usd("120.00"), NOW,
    "4b1f6f0e-0f0e-4a53-8f3e-1f6a3d3c2b1a", "INV-CN-000007", outstanding=_usd("7981.00"),
)  # fmt: skip


def credit_note() -> Letter:
    return credit_note_issued(_TAKEN_BACK)


def void() -> Letter:
    return invoice_void(_TAKEN_BACK)


SAMPLES: dict[str, Callable[[], Letter]] = {
    "notice-digest": notices_of_a_day,
    "access-changed": joined,
    "export-ready": file_ready,
    "budget-80": budget_80,
    "budget-exceeded": budget_exceeded,
    "budget-blocked": budget_blocked,
    "budget-back-under": budget_back_under,
    "budget-platform": platform_budget,
    "anomaly": anomaly,
    "finance-report": finance,
    "credit-note": credit_note,
    "invoice-void": void,
    "quota-80": quota_80,
    "quota-full": quota_full,
    "quota-storage": storage_quota,
    "gpu-unattributed": gpu_unattributed,
    "gpu-idle": gpu_idle,
    "gpu-release-announced": gpu_release_announced,
    "gpu-released": gpu_released,
}
