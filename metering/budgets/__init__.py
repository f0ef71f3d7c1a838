"""Budgets: what each has spent (measuring.py), setting them (setting.py), telling people and acting at thresholds (alerts.py)."""

from .alerts import CheckError, check_all
from .attention import acknowledge, mute, unmute
from .measuring import BudgetStatus, status
from .plan import Plan, Step
from .setting import billed_in, create, end, plan_of, set_budget, update

__all__ = [
    "BudgetStatus", "CheckError", "Plan", "Step", "acknowledge", "billed_in", "check_all", "create", "end", "mute", "plan_of",
    "set_budget", "status", "unmute", "update",
]  # fmt: skip
