"""The checker's own exam: each bad history is rejected, by its clause and by no other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.history.checker import CLAUSES, findings
from tests.history.records import (
    Appending,
    Asking,
    Following,
    Given,
    History,
    Loading,
    Outcome,
    Paging,
    Stored,
)

Place = tuple[str, int, int]
"""A stream, the version there, and the position."""


def wrote(name: str, *places: Place, at: float, **other: Any) -> Appending:
    """For a second from `at` on, acknowledged to be at these places. Events are `a1`, `a2`, …"""
    given = tuple(Given(place[0], f"{name}{n}", "{}") for n, place in enumerate(places, 1))
    versions = tuple({stream: version for stream, version, _ in places}.items())
    done = {"outcome": Outcome.DONE, "position": places[-1][2], "versions": versions}
    span = {"client": 1, "began": at, "ended": at + 1, "command": name}
    return Appending(**{**span, "events": given, **done, **other})


def stored(name: str, *places: Place, at: float = 0.0) -> list[Stored]:
    return [
        Stored(position, stream, version, f"{name}{n}", "{}", at)
        for n, (stream, version, position) in enumerate(places, 1)
    ]


def loaded(*seen: str, at: float, ended: float = 0.0) -> Loading:
    return Loading(client=2, began=at, ended=ended or at + 1, stream="order-1", seen=seen)


def asked(as_of: int, value: int, *, at: float, at_least: int = 0) -> Asking:
    span = {"client": 2, "began": at, "ended": at + 1, "stream": "order-1"}
    return Asking(**span, at_least=at_least, as_of=as_of, value=value)  # type: ignore[arg-type]


ONE: Place = ("order-1", 1, 1)
TWO: Place = ("order-1", 2, 2)
THREE: Place = ("order-1", 3, 3)
OTHER: Place = ("order-2", 1, 2)

A = wrote("a", ONE, at=0, expected=(("order-1", 0),))
B = wrote("b", TWO, at=2, expected=(("order-1", 1),))
C = wrote("c", THREE, at=4)
SLOW = wrote("b", TWO, at=2, ended=20.0)
"""Under way while others read."""
LOG_A, LOG_AB = stored("a", ONE), [*stored("a", ONE), *stored("b", TWO)]
REFUSED = {"outcome": Outcome.REFUSED, "position": 0, "versions": ()}
UNKNOWN = {"outcome": Outcome.UNKNOWN, "position": 0, "versions": ()}


def good() -> History:
    """Everything happens in it that may, lost answers and refusals too."""
    pair = (("order-1", 3, 3), ("order-2", 1, 4))
    return History(
        log=[*LOG_AB, *stored("c", *pair, at=1.0), *stored("f", ("order-2", 2, 5), at=1.0)],
        appendings=[
            A,
            B,
            wrote("c", *pair, at=4, **UNKNOWN),
            wrote("c", *pair, at=6),
            wrote("d", ONE, at=8, expected=(("order-1", 1),), **REFUSED),
            wrote("e", ONE, at=8, **UNKNOWN),
            wrote("f", ("order-2", 2, 5), at=8, **UNKNOWN),
        ],
        loadings=[
            loaded("a1", at=1.5),
            loaded("a1", "b1", at=2.5, ended=5.0),
            loaded("a1", "b1", "c1", at=9),
        ],
        pagings=[
            Paging(client=3, began=3.5, ended=3.6, after=1, scanned=2, head=2, seen=((2, "b1"),)),
            Paging(client=3, began=9, ended=9.5, after=5, scanned=5, head=5, seen=()),
        ],
        askings=[
            asked(1, 1, at=1.5, at_least=1),
            asked(4, 3, at=5.5, at_least=2),
            asked(5, 3, at=9, at_least=4),
        ],
        followings=[Following(((1, "a1", 1.5), (2, "b1", 2.5), (3, "c1", 7.0), (4, "c2", 7.0)))],
    )


def test_a_good_history_is_not_rejected() -> None:
    assert findings(good()) == []


def bad_positions() -> History:
    return History([LOG_A[0], LOG_AB[1]._replace(position=1)], [A, replace(B, position=1)])


def bad_versions() -> History:
    gap = wrote("b", ("order-1", 3, 2), at=2)
    return History([*LOG_A, LOG_AB[1]._replace(version=3)], [A, gap])


def bad_clock() -> History:
    return History([LOG_A[0]._replace(recorded_at=5.0), LOG_AB[1]], [A, B])


def bad_strangers() -> History:
    return History(LOG_AB, [A])


def bad_twice() -> History:
    """It was sent again because its answer was lost, and took effect both times."""
    again = LOG_A[0]._replace(position=2, version=2)
    return History([*LOG_A, again], [wrote("a", ONE, at=0, **UNKNOWN), wrote("a", ONE, at=2)])


def bad_lost() -> History:
    return History(LOG_A, [A, B])


def bad_refused() -> History:
    return History(LOG_AB, [A, replace(B, outcome=Outcome.REFUSED)])


def bad_parts() -> History:
    return History(LOG_A, [wrote("a", ONE, OTHER, at=0)])


def bad_together() -> History:
    ends: tuple[Place, ...] = (("order-1", 1, 1), ("order-3", 1, 3))
    return History(
        [*stored("a", ONE), *stored("b", OTHER), Stored(3, "order-3", 1, "a2", "{}", 0.0)],
        [wrote("a", *ends, at=0), wrote("b", OTHER, at=0)],
    )


def bad_content() -> History:
    return History([LOG_A[0]._replace(content='{"total": 1}')], [A])


def bad_places() -> History:
    return History(LOG_AB, [A, replace(B, versions=(("order-1", 3),))])


def bad_repeats() -> History:
    return History(LOG_AB, [A, B, replace(B, began=4, ended=5, position=3)])


def bad_expected() -> History:
    """Two clients saw version 1, and both appended to it."""
    both = {"expected": (("order-1", 1),)}
    return History(
        [*LOG_AB, *stored("c", THREE)],
        [A, wrote("b", TWO, at=2, **both), wrote("c", THREE, at=2, **both)],
    )


def bad_unjust() -> History:
    return History(LOG_A, [A, replace(B, **REFUSED)])  # type: ignore[arg-type]


def bad_order() -> History:
    late = wrote("b", ("order-2", 1, 1), at=2)
    early = wrote("a", ("order-1", 1, 2), at=0)
    return History(
        [*stored("b", ("order-2", 1, 1)), *stored("a", ("order-1", 1, 2))], [early, late]
    )


def bad_prefix() -> History:
    log = [*LOG_AB, *stored("c", THREE)]
    slow = [replace(each, ended=20.0) for each in (B, C)]
    return History(log, [A, *slow], [loaded("a1", "c1", at=5)])


def bad_fresh() -> History:
    return History(LOG_AB, [A, B], [loaded("a1", at=4)])


def bad_shrinking() -> History:
    return History(LOG_AB, [A, SLOW], [loaded("a1", "b1", at=4), loaded("a1", at=6)])


def bad_early() -> History:
    return History(LOG_AB, [A, B], [loaded("a1", "b1", at=0.5, ended=1.5)])


def bad_pages() -> History:
    """An event became visible behind one that a reader had passed."""
    page = Paging(client=3, began=5, ended=6, after=0, scanned=2, head=2, seen=((2, "b1"),))
    return History(LOG_AB, [A, B], pagings=[page])


def bad_head() -> History:
    page = Paging(client=3, began=5, ended=6, after=0, scanned=1, head=1, seen=((1, "a1"),))
    return History(LOG_AB, [A, B], pagings=[page])


def bad_skipped() -> History:
    return History(LOG_AB, [A, B], followings=[Following(((2, "b1", 5.0),))])


def bad_again() -> History:
    seen = ((1, "a1", 5.0), (1, "a1", 5.1), (2, "b1", 5.2))
    return History(LOG_AB, [A, B], followings=[Following(seen)])


def bad_vanished() -> History:
    """A subscriber was shown what was not committed, and never was."""
    lost = replace(B, **UNKNOWN)  # type: ignore[arg-type]
    seen = ((1, "a1", 5.0), (2, "b1", 5.1))
    return History(LOG_A, [A, lost], followings=[Following(seen)])


def bad_own_writes() -> History:
    return History(LOG_AB, [A, B], askings=[asked(1, 1, at=4, at_least=2)])


def bad_folded() -> History:
    """An event was applied twice."""
    return History(LOG_AB, [A, B], askings=[asked(2, 3, at=4)])


def bad_unwritten() -> History:
    return History(LOG_AB, [A, B], askings=[asked(2, 2, at=0.5)])


def bad_sessions() -> History:
    return History(LOG_AB, [A, B], askings=[asked(2, 2, at=4), asked(1, 1, at=6)])


BAD: tuple[Callable[[], History], ...] = (
    bad_positions,
    bad_versions,
    bad_clock,
    bad_strangers,
    bad_twice,
    bad_lost,
    bad_refused,
    bad_parts,
    bad_together,
    bad_content,
    bad_places,
    bad_repeats,
    bad_expected,
    bad_unjust,
    bad_order,
    bad_prefix,
    bad_fresh,
    bad_shrinking,
    bad_early,
    bad_pages,
    bad_head,
    bad_skipped,
    bad_again,
    bad_vanished,
    bad_own_writes,
    bad_folded,
    bad_unwritten,
    bad_sessions,
)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_history_is_rejected_by_its_clause_and_by_no_other(
    bad: Callable[[], History],
) -> None:
    assert {each.clause for each in findings(bad())} == {bad.__name__.removeprefix("bad_")}


def test_there_is_a_bad_history_for_each_clause() -> None:
    assert [bad.__name__ for bad in BAD] == [f"bad_{clause.__name__}" for clause in CLAUSES]
