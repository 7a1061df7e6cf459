"""What type checkers infer of `Events`: checked by mypy and pyright, never run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, assert_type
from uuid import UUID

from diptych.codec import Events
from diptych.messages import RecordedEvent
from diptych.upcast import Upcast


@dataclass(frozen=True, slots=True)
class Opened:
    order_id: UUID


@dataclass(frozen=True, slots=True)
class Closed:
    order_id: UUID


@dataclass(frozen=True, slots=True)
class Moved:
    order_id: UUID


def tag(event: Opened | Closed) -> Iterable[str]:
    return [f"order:{event.order_id}"]


def tag_opened(event: Opened) -> Iterable[str]:
    return [f"order:{event.order_id}"]


def families(*families: Events[Opened | Closed | Moved]) -> None: ...


annotated: Events[Opened | Closed] = Events("order", Opened, Closed)


def inferred() -> None:
    one = Events("order", Opened)
    two = Events("order", Opened, Closed)
    assert_type(one, Events[Opened])
    assert_type(two, Events[Opened | Closed])
    assert_type(Events("order", Opened, Closed, Moved), Events[Opened | Closed | Moved])
    assert_type(Events("order", Opened, Closed, tags=tag), Events[Opened | Closed])
    assert_type(Events("order", Opened, Closed, names={Opened: "x"}), Events[Opened | Closed])
    assert_type(Events[Opened | Closed]("order", Opened, Closed), Events[Opened | Closed])
    many = Events[Opened | int]("order", Opened, int, int, int, int, int, int, int, int, int)
    assert_type(many, Events[Opened | int])
    families(one, two)
    Events("order", Opened, Closed, tags=tag_opened)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Events("order", Opened, tag=tag)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def decoded(family: Events[Opened | Closed], recorded: RecordedEvent) -> None:
    assert_type(family.decode_all(recorded), tuple[Opened | Closed, ...])


async def all_decoded(family: Events[Opened], batch: Sequence[RecordedEvent]) -> None:
    assert_type(await family.decode(batch), list[tuple[RecordedEvent, Opened]])


def renamed(old: dict[str, Any]) -> dict[str, Any]:
    return old


def split(old: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("a", old)]


def upcasters() -> None:
    assert_type(Upcast("Old", "Opened", change=renamed), Upcast)
    Upcast("Old", "Opened")
    Upcast("Old", ("Opened", "Closed"), change=split)
    Upcast("Old", ())
    Upcast("Old", "Opened", change=split)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Upcast("Old", ("Opened", "Closed"), change=renamed)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
