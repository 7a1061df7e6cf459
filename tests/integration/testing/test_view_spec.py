"""A spec of a view delivers the events in many ways, and finds rows that depend on the way."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from diptych import ConfigurationError, ProjectionStopped, RecordedEvent, View
from diptych.failpoints import armed
from diptych.testing import START, ViewSpec, happened, redelivery
from diptych.testing.view_spec import _sizes
from tests.unit.testing import shelf
from tests.unit.testing.shelf import (
    Book,
    Lend,
    Lent,
    Reader,
    Returned,
    books,
    readers,
    shelf_events,
)

EMMA, AGAIN, BACK = Lent("Emma", "ann"), Lent("Emma", "bob"), Returned("Emma")
DUNE = Lent("Dune", "ann")
SECOND = timedelta(seconds=1)


def test_rows_are_compared_whatever_their_order() -> None:
    ViewSpec(books).given(EMMA, DUNE, BACK, AGAIN).then(
        Book("Emma", 2, START + 3 * SECOND, "", 3),
        Book("Dune", 1, START + SECOND, "", 1),
    )


def test_no_events_make_no_rows() -> None:
    ViewSpec(books).given().then()


def test_an_event_may_say_when_and_by_whom_it_happened() -> None:
    noon = datetime(2025, 5, 1, 12, tzinfo=UTC)
    ViewSpec(books).given(happened(EMMA, at=noon, actor="cy")).then(Book("Emma", 1, noon, "cy", 1))


def test_a_view_with_keys_of_its_own_may_say_what_the_streams_are() -> None:
    ViewSpec(readers).given(EMMA, DUNE, BACK, AGAIN).then(Reader("ann", 2, 2), Reader("bob", 1, 4))
    spec = ViewSpec(readers, stream="book")
    spec.given(EMMA, DUNE, BACK, AGAIN).then(Reader("ann", 2, 1), Reader("bob", 1, 3))


def test_a_view_in_partitions_is_delivered_to_each_of_them() -> None:
    split = View(
        "books",
        events=[shelf_events],
        row=Book,
        key="book",
        project=shelf.project,
        partitions=3,
    )
    events = [Lent(f"Book {number}", "ann") for number in range(8)]
    rows = [Book(each.book, 1, START + SECOND * at, "", 1) for at, each in enumerate(events)]
    ViewSpec(split).given(*events).then(*rows)


async def test_a_spec_can_be_used_where_an_event_loop_runs() -> None:
    ViewSpec(books).given(EMMA).then(Book("Emma", 1, START, "", 1))


def test_other_rows_are_shown_field_by_field() -> None:
    with pytest.raises(AssertionError) as failure:
        ViewSpec(books).given(EMMA, BACK).then(Book("Emma", 2, None, "", 2))
    assert "-     times_lent=2,\n+     times_lent=1,\n" in str(failure.value)


def test_rows_that_are_missing_or_too_many_are_shown() -> None:
    with pytest.raises(AssertionError, match=r"\+ Book\("):
        ViewSpec(books).given(EMMA).then()
    row = Book("Emma", 1, START, "", 1)
    with pytest.raises(AssertionError, match=r"- Book\("):
        ViewSpec(books).given(EMMA).then(row, row)


def test_a_project_that_remembers_is_found_by_delivering_twice() -> None:
    seen: list[str] = []

    @dataclass(frozen=True, slots=True)
    class Loans:
        book: str
        loans: int

    def project(_: Loans | None, event: Lent | Returned, __: RecordedEvent) -> Loans:
        seen.append(event.book)
        return Loans(event.book, len(seen))

    forgetful = View(
        "loans", events=[shelf_events], row=Loans, key="book", project=project, version="1"
    )
    with pytest.raises(AssertionError, match=r"pages of 1 with crashes \(- at once, \+ then\)"):
        ViewSpec(forgetful).given(EMMA, BACK).then(Loans("Emma", 2))


def test_a_project_that_fails_is_the_cause_of_the_failure() -> None:
    def project(_: Book | None, event: Lent | Returned, __: RecordedEvent) -> Book:
        raise KeyError(event.book)

    broken = View("broken", events=[shelf_events], row=Book, key="book", project=project)
    with pytest.raises(ProjectionStopped) as failure:
        ViewSpec(broken).given(EMMA).then()
    assert isinstance(failure.value.__cause__, KeyError)


@dataclass(frozen=True, slots=True)
class Popular:
    times_lent: int
    books: int


def rank(row: Popular | None, before: Book | None, after: Book | None) -> Popular | None:
    shown = after or before
    assert shown is not None
    count = (row.books if row else 0) + (after is not None) - (before is not None)
    return Popular(shown.times_lent, count) if count else None


popular = View("popular", source=books, row=Popular, key="times_lent", project=rank)


def test_a_view_over_a_view_is_given_the_events_of_its_source() -> None:
    spec = ViewSpec(popular)
    spec.given(EMMA, DUNE).then(Popular(1, 2))
    spec.given(EMMA, DUNE, BACK, AGAIN).then(Popular(1, 1), Popular(2, 1))


@dataclass(frozen=True, slots=True)
class Shelf:
    to: str
    events: int


def touch(row: Shelf | None, event: Lent | Returned, _: RecordedEvent) -> Shelf | None:
    if isinstance(event, Lent):
        return Shelf(event.to, row.events + 1 if row else 1)
    return row and Shelf(row.to, row.events + 1)


shelves = View("shelves", events=[shelf_events], row=Shelf, key="to", sticky=True, project=touch)


def test_a_view_with_sticky_keys_remembers_them_from_page_to_page() -> None:
    spec = ViewSpec(shelves, stream="book")
    spec.given(EMMA, DUNE, BACK, AGAIN, BACK).then(Shelf("ann", 3), Shelf("bob", 2))


def test_a_view_with_sticky_keys_must_say_what_the_streams_are() -> None:
    with pytest.raises(ConfigurationError, match=r"View\('shelves'\) has sticky keys: say which"):
        ViewSpec(shelves)


def test_what_is_not_an_event_of_the_view_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"Lend is not an event of View\('books'\)"):
        ViewSpec(books).given(Lend("Emma"))


def test_pages_have_every_size_up_to_twelve_then_powers_of_two_then_all() -> None:
    assert _sizes(0) == []
    assert _sizes(3) == [1, 2, 3]
    assert _sizes(70) == [*range(1, 13), 16, 32, 64, 70]


def test_a_view_that_never_gets_there_fails_even_if_no_rows_are_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stalled() -> None:
        raise ConnectionError("held back by the test")

    monkeypatch.setattr(redelivery, "_DEADLINE", 0.1)
    with (
        armed("projector.after_read", stalled, on=1, times=10**9),
        pytest.raises(TimeoutError, match="ConnectionError"),
    ):
        ViewSpec(books).given(EMMA).then()
