"""Client of the Aurelius Portal. See README.md."""

from .client import Client, Problem, Refused, Unavailable
from .reservations import Estimate, Reservation, reserve

__all__ = ["Client", "Estimate", "Problem", "Refused", "Reservation", "Unavailable", "reserve"]
