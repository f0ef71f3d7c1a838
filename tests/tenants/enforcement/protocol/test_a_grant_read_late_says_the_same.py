"""A granted call is read only as far as somebody asks: whoever asks, and for whatever, is told what the whole decision says."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from tenants.decisions import Decision, headers
from tenants.enforcement.http.answers import fields_of
from tenants.enforcement.protocol.granted import Granted
from tenants.enforcement.protocol.wire import GRANTED, NONE, REPLY, parse_reply

UNLIMITED = 2**32 - 1
calls = st.integers(0, 500_000_000)
window = st.tuples(st.one_of(calls, st.just(UNLIMITED)), calls, st.integers(0, 90_000_000))


@st.composite
def replies(draw):
    now = draw(st.integers(1_700_000_000_000, 1_900_000_000_000))
    rest = [number for _ in range(3) for number in draw(window)]
    return REPLY.pack(
        GRANTED, now, draw(st.integers(0, 2**47)), draw(st.integers(0, 2**13 - 1)), 0, 0, draw(st.integers(0, 2**47)),
        draw(st.one_of(st.integers(0, 2**47), st.just(NONE))), now // 1000 + draw(st.integers(-5, 2_700_000)),
        draw(st.sampled_from([0, 1_795_305_600])), draw(st.integers(0, 15)), b"abcdefgh", *rest,
    )  # fmt: skip


def whole(reply: bytes, asked: int, taken: int) -> Decision:
    """The decision by the plain way: what is not taken of a lease is still free, and not used."""
    decision = parse_reply(reply, taken)
    return replace(decision, used=max(0, decision.used - (asked - taken)))


@given(replies(), st.integers(0, 200), st.integers(0, 200))
def test_every_field_and_header_is_the_same(reply, one, other):
    asked, taken = max(one, other), min(one, other)
    expected = whole(reply, asked, taken)
    told = [(name.lower().encode(), value.encode()) for name, value in headers(expected)]
    for _ in range(2):  # limits seen for the first time, and known ones, go different ways
        assert fields_of(Granted(reply, asked, taken)) == told
    granted = Granted(reply, asked, taken)
    assert {field.name: getattr(granted, field.name) for field in fields(Decision)} == {
        field.name: getattr(expected, field.name) for field in fields(Decision)
    }


@given(replies())
def test_the_booking_needs_no_more_than_itself(reply):
    granted, expected = Granted(reply, 1, 1), parse_reply(reply, 1)
    assert granted.booking() == (expected.tenant_id, expected.hour, expected.generation)
    assert granted.is_billed == bool(expected.hour)


@given(replies())
def test_it_has_no_other_fields(reply):
    assert not hasattr(Granted(reply, 1, 1), "no_such_field")


@given(replies(), st.integers(1, 200), st.data())
def test_a_countdown_tells_each_call_of_a_lease_the_same(reply, asked, data):
    taken = data.draw(st.integers(1, asked))
    countdown = Granted(reply, asked, asked).countdown()
    if countdown is not None:
        assert countdown.fields(taken) == Granted(reply, asked, taken).header_fields()


def test_what_is_limited_everywhere_and_free_is_a_countdown():
    now = 1_795_305_600_000
    windows = (60, 60, 41_000, 1_000, 900, 3_000_000, 10_000, 50, 80_000_000)
    reply = REPLY.pack(GRANTED, now, 1, 1, 0, 0, 500, 1_000, now // 1000 + 90, 1_795_305_600, 0, b"abcdefgh", *windows)
    granted = Granted(reply, 50, 50)
    assert [granted.countdown().fields(taken) for taken in (1, 2, 50)] == [
        Granted(reply, 50, taken).header_fields() for taken in (1, 2, 50)
    ]
    too_few = Granted(reply, 51, 51)
    assert too_few.countdown() is None
