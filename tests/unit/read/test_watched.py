"""What is known of a watched query between two looks, and what is claimed of its answer."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from diptych.read.bus import Look
from diptych.read.database import Standing, Stop
from diptych.read.query import Answer, Query
from diptych.read.reads import FullKey, Reads, keyed
from diptych.read.watched import Group, Seat
from diptych.store.contract import Point
from diptych.tokens import Token
from tests.integration.accounts import accounts, labels

LOG = UUID(int=1)
DIALECT: sa.Dialect = sqlite.dialect()
TABLE = accounts.bind(1, DIALECT).table
KEY: FullKey = ("", "a")


@dataclass(frozen=True)
class Get(Query[str]):
    pass


@dataclass(frozen=True)
class Exact(Query[str]):
    """Equal to another one that differs only in what is no part of equality."""

    amount: object
    viewer: object = field(default=None, compare=False)


class Lenient(Query[str]):
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lenient)

    def __hash__(self) -> int:
        return 1


def at(position: int, **facts: Any) -> dict[Any, Standing]:
    return {accounts.wanted: Standing(1, serving=True, point=Point(position), **facts)}


def row(balance: int) -> tuple[object, ...]:
    """As `get` gives it: fields, position, version."""
    return ("a", "Ann", balance, 0, "now", None, 1, 1)


def loaded(balance: int) -> dict[Any, Any]:
    """As `load` gives it: the tenant, fields, version."""
    fields = row(balance)
    return keyed(TABLE, [("", *fields[:-2], fields[-1])])


def look(value: str, position: int, *, balance: int | None = 0, whole: bool = False) -> Look[str]:
    reads, place = Reads(), Token(LOG, position)
    reads.whole = whole
    reads.row(TABLE, KEY, None if balance is None else row(balance))
    return Look(Answer(value, place, stale=False, token=place), reads, at(position), place)


def watched_at(first: Look[str]) -> tuple[Group, Seat]:
    group = Group([accounts], first)
    return group, group.seat(Get(), first, tenant="")


def as_of(standings: Any) -> Token:
    return Token(LOG, standings[accounts.wanted].point.position)


def test_a_place_is_claimed_only_when_the_rows_of_that_place_were_compared() -> None:
    first = look("one", 1)
    group, seat = watched_at(first)
    group.look(at(2), as_of)
    assert seat.watched.place.position == 1
    seat.watched.compare(first, loaded(0))
    assert (seat.watched.place.position, seat.watched.due) == (2, False)
    group.look(at(3), as_of)
    seat.watched.compare(first, loaded(5))
    assert (seat.watched.place.position, seat.watched.due) == (2, True)


def test_a_row_that_is_new_or_gone_is_a_change() -> None:
    for balance, rows in ((None, loaded(0)), (0, {})):
        first = look("one", 1, balance=balance)
        group, seat = watched_at(first)
        group.look(at(2), as_of)
        seat.watched.compare(first, rows)
        assert seat.watched.due


def test_rows_of_an_answer_before_the_last_tell_nothing() -> None:
    first, second = look("one", 1), look("two", 2, balance=5)
    group, seat = watched_at(first)
    group.look(at(3), as_of)
    seat.watched.show(second)
    seat.watched.compare(first, loaded(0))  # read while the second answer came
    assert (seat.watched.due, seat.watched.place.position) == (True, 2)


def test_what_read_more_than_rows_is_due_whenever_its_views_moved() -> None:
    first = look("one", 1, whole=True)
    group, seat = watched_at(first)
    group.look(at(1), as_of)
    seat.watched.compare(first, {})
    assert not seat.watched.due
    group.look(at(2), as_of)
    seat.watched.compare(first, {})
    assert seat.watched.due


def test_how_its_views_stand_may_make_it_due_at_the_same_place() -> None:
    stop = Stop(2, "no reason", diverged=False, reached=1)
    for facts in ({"stop": stop}, {"parked": 1}):
        first = look("one", 1)
        group, seat = watched_at(first)
        group.look(at(1, **facts), as_of)
        seat.watched.compare(first, loaded(0))
        assert seat.watched.due


def test_an_older_answer_is_not_shown() -> None:
    group, seat = watched_at(look("two", 2))
    seat.watched.show(look("one", 1))
    assert seat.watched.look.shown.value == "two"
    assert group.place.position == 2


def test_who_comes_with_an_answer_from_before_the_last_look_is_due() -> None:
    group, _ = watched_at(look("two", 2))
    late = group.seat(Get(), look("one", 1), tenant="another")
    assert late.watched.due


def test_lateness_lasts_until_what_was_missed_is_there() -> None:
    group, _ = watched_at(look("one", 1))
    stop = Stop(2, "no reason", diverged=False, reached=1)
    group.look(at(1, stop=stop), as_of)
    group.judge(head=1, now=0)
    assert not group.late  # there is nothing behind it
    group.judge(head=3, now=0)
    assert group.late
    group.look(at(2), as_of)
    group.judge(head=3, now=0)
    assert group.late
    group.look(at(3), as_of)
    group.judge(head=4, now=0)
    assert not group.late
    group.judge(head=4, now=11)  # longer than `max_lag`
    assert group.late


HERE = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Exact(1, "Ann"), Exact(1, "Bob")),
        (Exact(HERE), Exact(HERE.astimezone(timezone(timedelta(hours=2))))),
        (Exact(Decimal("1.0")), Exact(Decimal("1.00"))),
        (Exact(1), Exact(True)),
        (Exact((0.0,)), Exact((-0.0,))),
        (Lenient("Ann"), Lenient("Bob")),
    ],
)
def test_queries_that_are_equal_but_not_the_same_share_nothing(
    one: Query[str], other: Query[str]
) -> None:
    assert one == other
    first = look("one", 1)
    group = Group([accounts], first)
    assert (
        group.seat(one, first, tenant="").watched is not group.seat(other, first, tenant="").watched
    )


def test_queries_that_are_the_same_share_their_answers() -> None:
    first = look("one", 1)
    group = Group([accounts], first)
    for one, other in ((Exact(HERE, "Ann"), Exact(HERE, "Ann")), (Lenient("A"), Lenient("A"))):
        seat = group.seat(one, first, tenant="")
        assert group.seat(other, first, tenant="").watched is seat.watched
        assert group.seat(other, first, tenant="another").watched is not seat.watched


def test_a_query_that_cannot_be_written_down_has_its_answers_for_itself() -> None:
    first, query = look("one", 1), Exact(lambda: 1)
    group = Group([accounts], first)
    seats = [group.seat(query, first, tenant="") for _ in range(2)]
    assert seats[0].watched is not seats[1].watched


def test_an_error_is_raised_to_each_watcher_as_it_was_at_first() -> None:
    _, seat = watched_at(look("one", 1))
    seat.watched.fail(ZeroDivisionError())
    depths = []
    for _ in range(5):
        with pytest.raises(ZeroDivisionError) as raised:
            seat.watched.check()
        depths.append(len(raised.traceback))
    assert all(one == other for one, other in pairwise(depths))


def of_both(value: str, position: int, paused: int) -> Look[str]:
    reads, place = Reads(), Token(LOG, min(position, paused))
    reads.whole = True
    standings = {
        accounts.wanted: Standing(1, serving=True, point=Point(position)),
        labels.wanted: Standing(2, serving=True, point=Point(paused)),
    }
    return Look(Answer(value, place, stale=False, token=place), reads, standings, place)


def least(standings: Any) -> Token:
    return Token(LOG, min(each.point.position for each in standings.values()))


def test_what_read_two_views_is_due_when_one_of_them_moved() -> None:
    first = of_both("one", 1, paused=1)
    group = Group([accounts, labels], first)
    seat = group.seat(Get(), first, tenant="")
    for position in (2, 3):
        group.look(of_both("", position, paused=1).standings, least)
        seat.watched.compare(seat.watched.look, {})
        assert seat.watched.due
        seat.watched.show(of_both("another", position, paused=1))
        assert not seat.watched.due
    seat.watched.show(first)  # from a replica, or slow: as far as the view that is paused
    assert seat.watched.look.shown.value == "another"


def test_an_answer_that_took_longer_than_a_look_is_due_again() -> None:
    first = look("one", 1)
    group, seat = watched_at(first)
    group.look(at(3), as_of)
    seat.watched.compare(first, loaded(5))
    seat.watched.show(look("two", 2, balance=5))
    assert seat.watched.due


def test_an_answer_that_does_not_come_is_late_until_one_is_shown() -> None:
    first = look("one", 1, whole=True)
    group, seat = watched_at(first)
    group.look(at(2), as_of)
    seat.watched.compare(first, {})
    group.judge(head=2, now=0)
    group.notice(10)
    assert not seat.watched.late
    group.look(at(2), as_of)  # that others can look does not help it
    group.judge(head=2, now=11)  # longer than `max_lag`
    assert (seat.watched.late, group.late) == (True, False)
    seat.watched.show(look("two", 2, whole=True))
    group.notice(12)
    assert not seat.watched.late


def test_a_look_that_does_not_end_makes_its_views_late() -> None:
    group, _ = watched_at(look("one", 1))
    group.missed(0)
    group.missed(9)
    group.notice(10)
    assert not group.late
    group.notice(11)
    assert group.late
    group.look(at(1), as_of)
    group.judge(head=1, now=12)
    assert not group.late


def test_what_could_not_be_asked_rests_longer_each_time() -> None:
    _, seat = watched_at(look("one", 1))
    seat.watched.due, rests = True, []
    for _ in range(7):
        seat.watched.put_off(100)
        rests.append(next(s for s in range(100) if seat.watched.ready(100 + s)))
    assert rests == [1, 2, 4, 8, 16, 16, 16]
