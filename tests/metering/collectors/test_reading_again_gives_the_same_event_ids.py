from __future__ import annotations

from dataclasses import replace


def test_the_same_interval_has_the_same_id_whenever_it_ends(gpus, proc):
    """A run that was killed before its events were booked has no memory of itself: the next one starts at the same instant."""
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.sample()
    before = gpus.collector
    gpus.later(60)
    lost = gpus.sample()
    gpus.collector = replace(before)
    again = gpus.sample()
    gpus.collector = replace(before)
    gpus.later(5)
    later = gpus.sample()

    assert [event.id for event in again.events] == [event.id for event in lost.events]
    assert again.events == lost.events
    assert later.events[0].id == lost.events[0].id
    assert lost.events[0].id == "GPU-00000000-0000-0000-0000-000000000000:20260715T120020.000000Z"
