"""The application: three kinds of messages end to end, and wiring that is refused with advice."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pydantic
import pytest
from msgspec.structs import replace

from diptych import (
    Application,
    ConfigurationError,
    Decider,
    Events,
    Middleware,
    NoHandler,
    Query,
    RecordedEvent,
    Rows,
    StoreClosed,
    View,
    answer,
    handler,
)
from diptych.messages import Envelope
from diptych.write.bus import Handle
from diptych.write.outcome import Outcome


@dataclass(frozen=True, slots=True)
class OpenPlain:
    box: UUID
    price: Decimal


@dataclass(frozen=True, slots=True)
class OpenedPlain:
    box: UUID
    price: Decimal


@dataclass(frozen=True, slots=True)
class RowPlain:
    box: UUID
    price: str


@dataclass(frozen=True, slots=True)
class AskPlain(Query[RowPlain | None]):
    box: UUID


class OpenStruct(msgspec.Struct, frozen=True):
    box: UUID
    price: Decimal


class OpenedStruct(msgspec.Struct, frozen=True):
    box: UUID
    price: Decimal


class RowStruct(msgspec.Struct, frozen=True):
    box: UUID
    price: str


class AskStruct(msgspec.Struct, Query[RowStruct | None], frozen=True):
    box: UUID


class OpenModel(pydantic.BaseModel, frozen=True):
    box: UUID
    price: Decimal


class OpenedModel(pydantic.BaseModel, frozen=True):
    box: UUID
    price: Decimal


class RowModel(pydantic.BaseModel, frozen=True):
    box: UUID
    price: str


class AskModel(pydantic.BaseModel, Query[RowModel | None], frozen=True):
    box: UUID


async def ask_plain(query: AskPlain, rows: Rows) -> RowPlain | None:
    return await rows.get(plain_boxes, query.box)


async def ask_struct(query: AskStruct, rows: Rows) -> RowStruct | None:
    return await rows.get(struct_boxes, query.box)


async def ask_model(query: AskModel, rows: Rows) -> RowModel | None:
    return await rows.get(model_boxes, query.box)


def decide_plain(command: OpenPlain, opened: int) -> Sequence[OpenedPlain]:
    return [OpenedPlain(command.box, command.price)]


def decide_struct(command: OpenStruct, opened: int) -> Sequence[OpenedStruct]:
    return [OpenedStruct(command.box, command.price)]


def decide_model(command: OpenModel, opened: int) -> Sequence[OpenedModel]:
    return [OpenedModel(box=command.box, price=command.price)]


def evolve(opened: int, event: object) -> int:
    return opened + 1


def project_plain(row: RowPlain | None, event: OpenedPlain, _: RecordedEvent) -> RowPlain:
    return RowPlain(event.box, str(event.price))


def project_struct(row: RowStruct | None, event: OpenedStruct, _: RecordedEvent) -> RowStruct:
    return RowStruct(event.box, str(event.price))


def project_model(row: RowModel | None, event: OpenedModel, _: RecordedEvent) -> RowModel:
    return RowModel(box=event.box, price=str(event.price))


plain_events = Events("plain", OpenedPlain)
struct_events = Events("struct", OpenedStruct)
model_events = Events("model", OpenedModel)
plain = Decider(plain_events, key="box", initial=int, decide=decide_plain, evolve=evolve)
struct = Decider(struct_events, key="box", initial=int, decide=decide_struct, evolve=evolve)
model = Decider(model_events, key="box", initial=int, decide=decide_model, evolve=evolve)
plain_boxes = View(
    "plain_boxes", events=[plain_events], row=RowPlain, key="box", project=project_plain
)
struct_boxes = View(
    "struct_boxes", events=[struct_events], row=RowStruct, key="box", project=project_struct
)
model_boxes = View(
    "model_boxes", events=[model_events], row=RowModel, key="box", project=project_model
)


def application(log: str = "memory://", read: str = "sqlite://", **more: Any) -> Application:
    return Application(
        log=log,
        read=read,
        **{
            "write": [plain, struct, model],
            "views": [plain_boxes, struct_boxes, model_boxes],
            "queries": [
                answer(AskPlain, ask_plain, reads=[plain_boxes]),
                answer(AskStruct, ask_struct, reads=[struct_boxes]),
                answer(AskModel, ask_model, reads=[model_boxes]),
            ],
            **more,
        },
    )


@pytest.mark.parametrize(
    ("command", "query", "row"),
    [
        (OpenPlain, AskPlain, RowPlain),
        (OpenStruct, AskStruct, RowStruct),
        (OpenModel, AskModel, RowModel),
    ],
    ids=["dataclasses", "structs", "models"],
)
async def test_three_kinds_of_messages_work_from_command_to_row(
    tmp_path: Path, command: Any, query: Any, row: Any
) -> None:
    box, command_id = uuid4(), uuid4()
    asked = command(box=box, price=Decimal("2.50"))
    files = {"log": f"sqlite:///{tmp_path}/log.db", "read": f"sqlite:///{tmp_path}/read.db"}
    async with application(**files) as app:
        first = await app.dispatch(asked, command_id=command_id)
        assert await app.query(query(box=box), at_least=first.token) == row(box=box, price="2.50")
    async with application(**files) as app:
        assert await app.dispatch(asked, command_id=command_id) == replace(first, repeated=True)
        assert await app.query(query(box=box), at_least=first.token) == row(box=box, price="2.50")
        page = await app.log.read()
        (found,) = await app.log.decode(page.events[0])
        assert found.price == Decimal("2.50")  # type: ignore[attr-defined]


async def test_middleware_is_around_every_command() -> None:
    seen: list[str] = []

    def noted(inner: Handle) -> Handle:
        async def call(command: object, envelope: Envelope) -> Outcome:
            seen.append(type(command).__name__)
            return await inner(command, envelope)

        return call

    middleware: list[Middleware] = [noted]
    async with application(middleware=middleware) as app:
        await app.dispatch(OpenPlain(uuid4(), Decimal(1)))
    assert seen == ["OpenPlain"]


async def test_what_nothing_handles_is_named_with_what_is_registered() -> None:
    async with application() as app:
        with pytest.raises(NoHandler, match="registered: OpenModel, OpenPlain, OpenStruct"):
            await app.dispatch(object())


async def test_an_application_that_is_not_open_says_so() -> None:
    with pytest.raises(StoreClosed, match="async with app"):
        await application().dispatch(OpenPlain(uuid4(), Decimal(1)))


async def test_an_application_is_opened_once() -> None:
    async with application() as app:
        with pytest.raises(ConfigurationError, match="open already"):
            await app.open()


@pytest.mark.parametrize(
    ("log", "read"),
    [
        ("sqlite://", "sqlite://"),
        ("sqlite:///x.db?synchronous=OFF", "sqlite://"),
        ("sqlite://x.db", "sqlite://"),
        ("memory:///x", "sqlite://"),
        ("mongodb:///x", "sqlite://"),
        ("memory://", "memory://"),
        ("memory://", "sqlite:///x.db?cache=shared"),
    ],
)
def test_a_url_of_no_backend_is_refused_with_what_to_write(log: str, read: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///file"):
        application(log, read)


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_a_password_in_a_url_is_not_repeated(scheme: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        application(f"{scheme}://ann:secret@host/db?unknown=1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("link", ["same", "dotted", "symbolic", "hard"])
async def test_log_and_read_database_in_one_file_are_refused(tmp_path: Path, link: str) -> None:
    log = tmp_path / "log.db"
    async with Application(log=f"sqlite:///{log}"):
        pass
    other = {"same": log, "dotted": tmp_path / ".." / tmp_path.name / "log.db"}.get(link)
    if other is None:
        other = tmp_path / "other.db"
        other.symlink_to(log) if link == "symbolic" else other.hardlink_to(log)
    with pytest.raises(ConfigurationError, match="same file"):
        application(f"sqlite:///{log}", f"sqlite:///{other}")


async def open_plain(command: OpenPlain) -> None:
    return None


def decide_again(command: OpenPlain, opened: int) -> Sequence[OpenedStruct]:
    return []


@pytest.mark.parametrize(
    ("write", "says"),
    [
        ([plain, plain], "two deciders for category 'plain'"),
        (
            [
                plain,
                Decider(struct_events, key="box", initial=int, decide=decide_again, evolve=evolve),
            ],
            "two deciders for OpenPlain",
        ),
        ([handler(OpenPlain, open_plain), handler(OpenPlain, open_plain)], "for OpenPlain"),
        ([plain_boxes], "write= takes deciders"),
    ],
)
def test_a_left_panel_that_does_not_fit_is_refused(write: list[Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        application(write=write, views=[], queries=[])


def test_two_views_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="plain_boxes"):
        application(views=[plain_boxes, plain_boxes], queries=[])
