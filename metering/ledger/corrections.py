"""Corrections: signed amounts that are added to an event that was wrong. The event itself is never edited.

A correction is booked at the time and under the dimensions of the event it corrects, so that it changes the hour, the price and the
dimension that the error was in. All corrections together never take more than the event had.
"""

from __future__ import annotations

from dataclasses import replace

from metering.event_store.entries import Original, ParsedEvent

from .event_parsing import EventError


def place(correction: ParsedEvent, original: Original | None) -> ParsedEvent:
    """The correction at the time and under the dimensions of its original, whose net amount it changes. Raises EventError."""
    if original is None:
        raise EventError("unknown_original", "`data.corrects` names no event of this tenant's ledger.")
    if original.is_correction:
        raise EventError("corrects_a_correction", "`data.corrects` names a correction; correct the event itself.")
    if original.meter != correction.meter:
        raise EventError("correction_mismatch", f"The event to correct is of the meter {original.meter}.")
    if correction.dims_json not in ("{}", original.dims_json):
        raise EventError(
            "correction_mismatch", "The event to correct has other dimensions; a correction needs none of its own."
        )
    net = original.net_micro + correction.quantity_micro
    if net < 0:
        raise EventError("correction_too_large", "Corrections would take more from the event than it had.")
    original.net_micro = net
    return replace(correction, time=original.time, time_text=original.time.isoformat(), dims_json=original.dims_json)
