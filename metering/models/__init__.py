"""What was done, and what it costs: meters, the usage ledger, rollups, prices, budgets, notices, periodic work."""

from .anomaly import AnomalyDirection, SpendAnomaly
from .budget import Budget, BudgetAction, BudgetAlert, BudgetBasis, BudgetPeriod, BudgetScope, BudgetThreshold
from .closing import EmptyMonth, OwedAnnouncement
from .collector import CollectorState, CollectorStatus, GapDecision, GapShare, MeteringGap
from .counter import CallCounter, ProcessCounter
from .event import EventIdentity, LedgerFloor, QuarantinedEvent, StagedEvent, UsageEvent
from .export import Export, ExportKind, ExportPart, ExportState
from .gpu import GpuAssignment, GpuDevice, GpuDeviceHour, GpuHolderHour, UnattributedGpuTime
from .gpu_care import GpuNotice, GpuNoticeKind, GpuOwnerRule, IdleReleaseRule, OwnerFact
from .invoice import (
    BillingProfile,
    CreditNote,
    Invoice,
    InvoiceDocument,
    InvoiceLine,
    InvoiceState,
    LegalEntity,
    NumberSequence,
    Payment,
    TaxRate,
)
from .job_run import JobRun, JobState
from .meter import Aggregation, GapPolicy, Meter
from .monitoring_alert import AlertState, MonitoringAlert
from .notice import HiddenChecklist, Notice, NoticeChoice, NoticeKind, NoticePace
from .notification import Notification, NotificationState
from .price_book import ChargeModel, Price, PriceBook, PriceBookVersion, TenantPriceBook, TierPriceBook
from .price_dry_run import DryRunState, PriceDryRun, PriceDryRunRow
from .quota_alert import QuotaAlert
from .reservation import Reservation, ReservationBook, ReservationChange, ReservationState
from .rollup import DirtyHour, UsageRollup
from .unknown_usage import UnknownKind, UnknownUsage
from .webhook import DeliveryState, WebhookDelivery, WebhookEndpoint

__all__ = [
    "BillingProfile", "CreditNote", "Invoice", "InvoiceDocument", "InvoiceLine", "InvoiceState", "LegalEntity", "NumberSequence", "Payment",
    "DeliveryState", "DryRunState", "GapDecision", "GapPolicy", "GapShare", "PriceDryRun", "PriceDryRunRow", "TaxRate", "UnknownKind", "UnknownUsage", "WebhookDelivery", "WebhookEndpoint",
    "Aggregation", "AnomalyDirection", "Budget", "BudgetAction", "BudgetAlert", "BudgetBasis", "BudgetPeriod", "BudgetScope", "BudgetThreshold", "CallCounter", "ChargeModel", "CollectorState",
    "CollectorStatus", "DirtyHour", "EmptyMonth", "OwedAnnouncement", "EventIdentity", "GpuAssignment", "GpuDevice", "GpuDeviceHour", "GpuHolderHour", "GpuNotice", "GpuNoticeKind", "GpuOwnerRule", "IdleReleaseRule", "OwnerFact", "JobRun", "JobState", "LedgerFloor", "Meter", "MeteringGap",
    "AlertState", "MonitoringAlert", "Notification", "NotificationState", "Price", "PriceBook", "PriceBookVersion", "ProcessCounter", "QuarantinedEvent",
    "Export", "ExportKind", "ExportPart", "ExportState", "HiddenChecklist", "Notice", "NoticeChoice", "NoticeKind", "NoticePace",
    "QuotaAlert", "Reservation", "ReservationBook", "ReservationChange", "ReservationState", "SpendAnomaly", "StagedEvent", "TenantPriceBook", "TierPriceBook", "UnattributedGpuTime", "UsageEvent", "UsageRollup",
]  # fmt: skip
