"""Budgets: what each has spent (measuring.py), setting them (setting.py), and telling people and acting (alerts.py)."""

from .alerts import CheckError, check_all
from .measuring import BudgetStatus, status
from .setting import set_budget

__all__ = ["BudgetStatus", "CheckError", "check_all", "set_budget", "status"]
