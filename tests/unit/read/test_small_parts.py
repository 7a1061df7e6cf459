"""Search text, cursors, pace and the signal: the small parts of the read side."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.errors import InvalidCursor, LimitExceeded, StorageBusy
from diptych.read.columns import Places
from diptych.read.cursor import decode_cursor, encode_cursor
from diptych.read.pace import FEWEST, MOST, Pace
from diptych.read.search import normalised, words_of
from diptych.read.signal import CheckpointSignal
from diptych.testing.waiting import wait_until


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World", "hello world"),
        ("  a_b-c\td  ", "a b c d"),
        ("Ångström ÉCOLE", "angstrom ecole"),
        ("Straße", "strasse"),
        ("ﬁne Ⅷ ½", "fine viii 1 2"),
        ("İstanbul", "istanbul"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("東京 2026", "東京 2026"),
        ("\0\ud800!", ""),
        ("", ""),
    ],
)
def test_text_is_words_without_case_and_diacritics(text: str, expected: str) -> None:
    assert normalised(text).split() == expected.split()


@given(st.text())
def test_normal_text_is_words_of_letters_and_digits_and_stays_as_it_is(text: str) -> None:
    found = normalised(text)
    assert all(word.isalnum() for word in found.split())
    assert normalised(found) == found


def test_the_words_of_a_search_are_different_and_limited() -> None:
    assert words_of("b a B a") == ("b", "a")
    with pytest.raises(LimitExceeded, match="words"):
        words_of(" ".join(f"w{index}" for index in range(21)))
    with pytest.raises(LimitExceeded, match="characters"):
        words_of("x" * 1_001)


@given(
    page=st.integers(1, 10**9),
    values=st.tuples(
        st.uuids(), st.none() | st.integers(-(2**63), 2**63 - 1), st.text(), st.datetimes()
    ),
)
def test_a_cursor_gives_back_page_and_values(page: int, values: tuple[Any, ...]) -> None:
    types: list[Any] = [UUID, int | None, str, type(values[3])]
    cursor = encode_cursor(["q"], page=page, values=list(values))
    assert decode_cursor(cursor, ["q"], types=types) == (page, list(values))


def test_a_cursor_keeps_a_decimal_exactly() -> None:
    cursor = encode_cursor("q", page=2, values=[Decimal("1.10")])
    (value,) = decode_cursor(cursor, "q", types=[Annotated[Decimal, Places(2)]])[1]
    assert str(value) == "1.10"


def test_a_cursor_of_another_binding_or_other_types_is_refused() -> None:
    cursor = encode_cursor(["q", 1], page=2, values=[1])
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor, ["q", 2], types=[int])
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor, ["q", 1], types=[str])
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor, ["q", 1], types=[int, int])


@pytest.mark.parametrize("page", [-5, 0, 2**53 + 1, 2**64 - 1])
def test_a_cursor_to_a_page_that_cannot_be_is_refused(page: int) -> None:
    cursor = encode_cursor("q", page=page, values=[1])
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor, "q", types=[int])


@given(st.text(max_size=200))
def test_any_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(text, "q", types=[int])


def test_the_pace_grows_while_pages_are_quick_and_shrinks_when_they_are_slow() -> None:
    pace = Pace()
    for _ in range(20):
        pace.wrote(pace.limit, seconds=0.001)
    assert pace.limit == MOST
    pace.wrote(3, seconds=0.001)
    assert pace.limit == MOST
    for _ in range(20):
        pace.wrote(10, seconds=1.0)
    assert pace.limit == FEWEST
    pace.wrote(3, seconds=0.001)
    assert pace.limit == FEWEST


def test_the_pace_tells_how_fast_it_goes() -> None:
    pace = Pace()
    for _ in range(50):
        pace.went(1_000, seconds=0.01)
    assert pace.positions_per_second == pytest.approx(100_000)


async def unchanged(*, anyway: bool) -> Mapping[int, int] | None:
    return None


async def test_a_signal_wakes_whom_it_concerns() -> None:
    signal = CheckpointSignal(unchanged)
    low = asyncio.create_task(signal.reached(1, 5, timeout=5))
    high = asyncio.create_task(signal.reached(1, 9, timeout=5))
    other = asyncio.create_task(signal.reached(2, 5, timeout=5))
    await asyncio.sleep(0)
    signal.announce(1, 6)
    assert await low
    assert not high.done()
    assert not other.done()
    signal.announce(1, 9)
    signal.announce(2, 5)
    assert await high
    assert await other
    assert await signal.reached(1, 9, timeout=0)
    await signal.close()


async def test_a_signal_gives_up_in_time() -> None:
    signal = CheckpointSignal(unchanged)
    assert not await signal.reached(1, 5, timeout=0.01)
    assert not signal._waiting
    await signal.close()


async def test_a_signal_sees_what_other_processes_commit() -> None:
    found: dict[int, int] = {}

    async def glance(*, anyway: bool) -> Mapping[int, int] | None:
        return dict(found)

    signal = CheckpointSignal(glance, interval=0.001)
    waiting = asyncio.create_task(signal.reached(1, 5, timeout=5))
    await asyncio.sleep(0)
    found[1] = 7
    assert await waiting
    await signal.close()


async def test_a_signal_that_cannot_look_wakes_everybody() -> None:
    async def glance(*, anyway: bool) -> Mapping[int, int] | None:
        raise StorageBusy("locked")

    signal = CheckpointSignal(glance)
    assert await signal.reached(1, 5, timeout=5)
    await signal.close()


async def test_a_signal_that_is_told_looks_at_once_and_thoroughly() -> None:
    found: dict[int, int] = {}

    async def glance(*, anyway: bool) -> Mapping[int, int] | None:
        return dict(found) if anyway else None

    signal = CheckpointSignal(glance, interval=60)
    waiting = asyncio.create_task(signal.reached(1, 5, timeout=5))
    await wait_until(lambda: signal._poller is not None)
    found[1] = 7
    signal.look()
    assert await waiting
    await signal.close()


async def test_who_is_woken_for_another_reason_is_told_to_look_again() -> None:
    signal = CheckpointSignal(unchanged)
    waiting = asyncio.create_task(signal.reached(1, 5, timeout=5))
    await wait_until(lambda: bool(signal._waiting))
    signal.wake(1)
    assert await waiting
    await signal.close()
