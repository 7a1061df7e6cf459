"""Writes the golden files of a release: `python -m tests.golden.make 2` for log schema 2.

Run it once, with the code that is released, and commit what it writes: an order log as this
version leaves it on disk, for SQLite and for PostgreSQL, and what is in it, as JSON Lines. Files
of versions that were released are never written again.
"""

import asyncio
import re
import shutil
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid5

import msgspec

from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import Append, CommandKey, CommandRecord, EventStore, Write
from diptych.store.postgres.store import PostgresEventStore
from diptych.store.sqlite.store import SqliteEventStore
from examples.orders.app import shop
from examples.orders.order import AddOrderItem, CancelOrder, CreateOrder, OrderItem, ShipOrder
from tests.servers.postgres import PostgresServer

FOLDER = Path(__file__).parent
NAMES = UUID(int=2026)
TENANT, ACTOR = "acme", "ann"
_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog.*|\\.*|)\n", re.MULTILINE)


def commands() -> list[object]:
    """What every golden log has been told; so it has each event of the order family."""
    first, second, customer = (uuid5(NAMES, name) for name in ("first", "second", "customer"))
    lamp = OrderItem("lamp", 2, Decimal("19.90"), "Zoë\u2019s lamp \U0001f4a1")
    return [
        CreateOrder(first, customer, "Zoë Ångström", (lamp,), "1 Main Street"),
        CreateOrder(second, customer, "Zoë Ångström", (lamp, lamp), "1 Main Street"),
        AddOrderItem(first, "chair", 1, Decimal("120.00")),
        ShipOrder(first),
        CancelOrder(second, 'no "longer" wanted'),
    ]


def command_id(number: int) -> UUID:
    return uuid5(NAMES, str(number))


async def fill(store: EventStore) -> Sequence[RecordedEvent]:
    async with shop(log=store, read="sqlite://", project=False) as app:  # type: ignore[arg-type]
        for number, command in enumerate(commands()):
            await app.dispatch(command, command_id=command_id(number), actor=ACTOR, tenant=TENANT)
        return (await store.read()).events


async def copy(events: Sequence[RecordedEvent], url: str) -> None:
    """One event for each command, so each is appended alone."""
    async with PostgresEventStore(url) as store:
        for number, event in enumerate(events):
            data = EventData(event.type, event.data, event.event_id, event.tags, event.recorded_at)
            record = CommandRecord(CommandKey(TENANT, ACTOR, command_id(number)))
            write = Write(event.stream, (data,), event.version - 1)
            await store.append(
                Append((write,), command=record, tenant=TENANT, metadata=event.metadata_json)
            )


async def write(number: int, url: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        events = await fill(SqliteEventStore(path))
        shutil.copy(path, FOLDER / f"log-v{number}.db")
    await copy(events, url)
    lines = (
        msgspec.json.encode(
            {
                **event._asdict(),
                "data": msgspec.Raw(event.data),
                "metadata_json": msgspec.Raw(event.metadata_json),
            }
        )
        for event in events
    )
    (FOLDER / f"log-v{number}.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def main(number: int) -> None:
    server = PostgresServer.started()
    try:
        url = server.create_database()
        asyncio.run(write(number, url))
        dump = server.installation.run(
            "pg_dump", "--schema=diptych", "--inserts", "--no-owner", "--no-privileges", url
        )
        (FOLDER / f"log-v{number}.sql").write_text(_NOISE.sub("", dump), encoding="utf-8")
    finally:
        server.remove()


if __name__ == "__main__":
    main(int(sys.argv[1]))
