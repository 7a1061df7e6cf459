"""The example of the mount's tests: doors, and a service of them on databases in memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from msgspec import Meta

from diptych import (
    Application,
    Decider,
    Events,
    Outcome,
    Page,
    Places,
    Query,
    RecordedEvent,
    Rejected,
    Rows,
    Versioned,
    View,
    answer,
)
from diptych.web import Mount, command_route, mount, query_route

Colour = Annotated[str, Meta(min_length=1, max_length=20)]
Coats = Annotated[int, Meta(ge=1, le=9)]


@dataclass(frozen=True)
class HangDoor:
    """A door is hung where there was none."""

    door_id: UUID
    colour: Colour
    price: Decimal = Decimal(1)


@dataclass(frozen=True)
class PaintDoor:
    door_id: UUID
    colour: Colour
    coats: Coats = 1


@dataclass(frozen=True)
class RemoveDoor:
    door_id: UUID
    reason: str = ""


@dataclass(frozen=True)
class DoorHung:
    door_id: UUID
    colour: str
    price: Decimal


@dataclass(frozen=True)
class DoorPainted:
    door_id: UUID
    colour: str


@dataclass(frozen=True)
class DoorRemoved:
    door_id: UUID


DoorEvent = DoorHung | DoorPainted | DoorRemoved


class NoDoor(Rejected):
    def __init__(self) -> None:
        super().__init__("there is no such door")


class DoorStuck(Exception):
    """Not one of ours: what a library would raise."""


def decide(command: HangDoor | PaintDoor | RemoveDoor, there: bool) -> Sequence[DoorEvent]:
    match command:
        case HangDoor(door_id, colour, price):
            return [] if there else [DoorHung(door_id, colour, price)]
        case _ if not there:
            raise NoDoor
        case PaintDoor(colour="rust"):
            raise DoorStuck("the secret in the exception")
        case PaintDoor(door_id, colour):
            return [DoorPainted(door_id, colour)]
        case RemoveDoor(door_id):
            return [DoorRemoved(door_id)]


def evolve(there: bool, event: DoorEvent) -> bool:
    return not isinstance(event, DoorRemoved)


door_events = Events("door", DoorHung, DoorPainted, DoorRemoved)
doors = Decider(door_events, key="door_id", initial=lambda: False, decide=decide, evolve=evolve)


@dataclass(frozen=True)
class Door:
    door_id: UUID
    colour: str
    price: Annotated[Decimal, Places(2)]
    coats: int


def project(row: Door | None, event: DoorEvent, recorded: RecordedEvent) -> Door | None:
    match event:
        case DoorHung(door_id, colour, price):
            return Door(door_id, colour, price, 1)
        case DoorPainted(colour=colour):
            return row and replace(row, colour=colour, coats=row.coats + 1)
        case DoorRemoved():
            return None


door_view = View(
    "doors",
    events=[door_events],
    row=Door,
    key="door_id",
    project=project,
    indexes=[("colour", "coats")],
)


@dataclass(frozen=True)
class GetDoor(Query[Versioned[Door] | None]):
    door_id: UUID


@dataclass(frozen=True)
class ListDoors(Query[Page[Door]]):
    colour: str | None = None
    page_size: Annotated[int, Meta(ge=1, le=100)] = 10


@dataclass(frozen=True)
class CountDoors(Query[int]):
    pass


async def get_door(query: GetDoor, rows: Rows) -> Versioned[Door] | None:
    return await rows.get_versioned(door_view, query.door_id)


async def list_doors(query: ListDoors, rows: Rows) -> Page[Door]:
    where = {"colour": query.colour}
    return await rows.page(door_view, where=where, order_by="coats", page_size=query.page_size)


async def count_doors(query: CountDoors, rows: Rows) -> int:
    return (await rows.page(door_view, page_size=1)).total


@dataclass(frozen=True)
class Hung:
    door_id: UUID


@dataclass(frozen=True)
class Seen:
    """What visitors see of a door."""

    door_id: UUID
    colour: str


def hung(command: HangDoor, outcome: Outcome) -> Hung:
    return Hung(command.door_id)


DOOR = "/doors/{door_id}"


def routes(**allow: Any) -> list[Any]:
    """The address of each message; `allow` by the names of messages."""
    return [
        command_route(
            "POST /doors",
            HangDoor,
            answer=hung,
            location=DOOR,
            new_id="door_id",
            allow=allow.get("HangDoor"),
        ),
        command_route(f"PUT {DOOR}/colour", PaintDoor, allow=allow.get("PaintDoor")),
        command_route(f"DELETE {DOOR}", RemoveDoor, allow=allow.get("RemoveDoor"), versioned=True),
        query_route(f"GET {DOOR}", GetDoor, show=Seen, allow=allow.get("GetDoor")),
        query_route("GET /doors", ListDoors, allow=allow.get("ListDoors")),
        query_route("GET /doors/count", CountDoors, allow=allow.get("CountDoors")),
    ]


def house(**options: Any) -> Application:
    queries = [
        answer(GetDoor, get_door, reads=[door_view]),
        answer(ListDoors, list_doors, reads=[door_view]),
        answer(CountDoors, count_doors, reads=[door_view]),
    ]
    parts: dict[str, Any] = {"log": "memory://", "write": [doors], "views": [door_view]}
    return Application(**{**parts, "queries": queries, **options})


@dataclass
class Service:
    app: Application
    api: FastAPI
    mounted: Mount
    client: httpx.AsyncClient

    async def hang(self, colour: str = "red", **headers: str) -> str:
        """The path of a new door."""
        answered = await self.client.post("/doors", json={"colour": colour}, headers=headers)
        assert answered.status_code == 201, answered.text
        location: str = answered.headers["location"]
        return location

    async def head(self) -> int:
        return (await self.app.log.head()).position


@asynccontextmanager
async def serving(
    app: Application | None = None, api: FastAPI | None = None, **options: Any
) -> AsyncIterator[Service]:
    """The mount in `api`, without a server."""
    app, api = app or house(), api or FastAPI()
    mounted = mount(api, app, **{"routes": routes(), **options})
    base = options.get("prefix", "")
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with app, httpx.AsyncClient(transport=transport, base_url=f"http://test{base}") as client:
        yield Service(app, api, mounted, client)
