"""A small model to test the test kit with: books on a shelf, lent and returned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from diptych import Decider, Envelope, Events, RecordedEvent, Rejected, View


@dataclass(frozen=True, slots=True)
class Lend:
    book: str
    to: str = ""


@dataclass(frozen=True, slots=True)
class Return:
    book: str


@dataclass(frozen=True, slots=True)
class Lent:
    book: str
    to: str


@dataclass(frozen=True, slots=True)
class Returned:
    book: str


class IsLent(Rejected):
    def __init__(self, book: str, *, to: str) -> None:
        super().__init__(f"{book} is lent to {to}")
        self.to = to


def decide(command: Lend | Return, lent_to: str, envelope: Envelope) -> Sequence[Lent | Returned]:
    match command:
        case Lend(book=book) if lent_to:
            raise IsLent(book, to=lent_to)
        case Lend(book=book):
            return [Lent(book, command.to or envelope.actor)]
        case Return(book=book):
            return [Returned(book)] if lent_to else []
        case _:
            assert_never(command)


def evolve(_: str, event: Lent | Returned) -> str:
    return event.to if isinstance(event, Lent) else ""


shelf_events = Events("book", Lent, Returned)
shelf = Decider(shelf_events, key="book", initial=str, decide=decide, evolve=evolve)


@dataclass(frozen=True, slots=True)
class Book:
    book: str
    times_lent: int
    lent_at: datetime | None
    by: str
    version: int


def project(row: Book | None, event: Lent | Returned, recorded: RecordedEvent) -> Book | None:
    row = row or Book(event.book, 0, None, "", 0)
    row = replace(row, version=recorded.version, by=recorded.metadata.actor)
    match event:
        case Lent():
            return replace(row, times_lent=row.times_lent + 1, lent_at=recorded.at)
        case Returned():
            return replace(row, lent_at=None)
        case _:
            assert_never(event)


books = View("books", events=[shelf_events], row=Book, key="book", project=project)


@dataclass(frozen=True, slots=True)
class Reader:
    name: str
    loans: int
    last_version: int


def count(row: Reader | None, event: Lent | Returned, recorded: RecordedEvent, name: str) -> Reader:
    return Reader(name, row.loans + 1 if row else 1, recorded.version)


def names(event: Lent | Returned) -> Sequence[str]:
    return [event.to] if isinstance(event, Lent) else []


readers = View("readers", events=[shelf_events], row=Reader, key="name", keys=names, project=count)
