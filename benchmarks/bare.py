"""The limit: the same rows in the same tables, group-committed by a loop with nothing around it.

It makes what the framework makes for each command (ids, JSON, an event row, a command row) and
commits what is waiting together, on the loop, with full durability. It has no dispatch, no state,
no decision, no version check beyond the unique index, no limits and no answer but a future.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from diptych.clock import uuid7
from diptych.sqlite_library import sqlite
from diptych.store.sqlite.statements import SQL
from diptych.store.sqlite.store import SqliteEventStore

encode = msgspec.json.Encoder().encode


async def create(path: Path) -> Any:
    """An empty log with the framework's own tables, on a bare connection."""
    store = SqliteEventStore(path)
    await store.open()
    await store.close()
    db = sqlite.connect(str(path), isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=10000"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    return db


class BareLog:
    def __init__(self, db: Any) -> None:
        self._db, self._position = db, 0
        self._waiting: list[tuple[object, str, int, asyncio.Future[int]]] = []

    async def append(self, event: object, stream: str, version: int) -> int:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        answer: asyncio.Future[int] = loop.create_future()
        self._waiting.append((event, stream, version, answer))
        return await answer

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        now = int(datetime.now(UTC).timestamp() * 1_000_000)
        events, commands = [], []
        for event, stream, version, _ in waiting:
            self._position += 1
            command = uuid7()
            events.append((
                self._position, "", stream, version, bytearray(uuid7().bytes), type(event).__name__,
                encode(event).decode(), f'{{"command_id":"{command}"}}', now, "", "", "order",
            ))  # fmt: skip
            commands.append(("", "", bytearray(command.bytes), bytearray(), self._position, 1, ""))
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(SQL["insert_event"], events)
        self._db.executemany(SQL["insert_command"], commands)
        self._db.execute("COMMIT")
        for position, (*_, answer) in enumerate(waiting):
            answer.set_result(position)
