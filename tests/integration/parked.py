"""What the tests of parking share: a view that parks, and what the database says is parked."""

from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from diptych.messages import EventData
from diptych.read.schema import CHECKPOINTS, PARKED_EVENTS, PARKED_KEYS
from diptych.read.side import ReadSide
from diptych.read.view import View
from diptych.store.contract import ANY_VERSION, Append, EventStore, Write
from tests.integration.accounts import Account, account_view


def parking_view(**options: Any) -> View[Account]:
    return account_view(**{"on_error": "park", **options})


async def parked_keys(side: ReadSide) -> list[Any]:
    """In the order in which they were parked."""
    async with side._database.snapshot() as snapshot:
        return list(
            await snapshot.execute(sa.select(PARKED_KEYS).order_by(PARKED_KEYS.c.first_position))
        )


async def parked_positions(side: ReadSide) -> list[int]:
    async with side._database.snapshot() as snapshot:
        rows = await snapshot.execute(
            sa.select(PARKED_EVENTS.c.position).order_by(PARKED_EVENTS.c.position)
        )
    return [row.position for row in rows]


async def checkpoints(side: ReadSide) -> list[Any]:
    async with side._database.snapshot() as snapshot:
        return list(
            await snapshot.execute(sa.select(CHECKPOINTS).order_by(CHECKPOINTS.c.partition))
        )


async def append_raw(store: EventStore, event_type: str, data: bytes) -> int:
    event = EventData(event_type, data, uuid4())
    write = Write("account-raw", (event,), ANY_VERSION)
    return (await store.append(Append((write,)))).point.position
