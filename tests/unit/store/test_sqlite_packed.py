"""Large pages of the SQLite log come packed in one row: the same events as row by row."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from diptych import SqliteEventStore
from diptych.messages import EventData, Metadata, RecordedEvent
from diptych.store import limits
from diptych.store.contract import START, Append, Write
from diptych.store.sqlite import reading

_IDS = count(1)
_WORDS = ("plain", 'quoted "\\" \n', "gränzenlos ∞ 🎉", "")


def _event(number: int) -> EventData:
    text = _WORDS[number % 4].encode("unicode_escape").hex()
    data = f'{{"n":{number},"text":"{text}é🎉"}}'.encode()
    occurred = datetime(1969, 12, 31, tzinfo=UTC) + timedelta(microseconds=number)
    return EventData(
        f"Type{number % 3}é",
        data,
        UUID(int=next(_IDS)),
        tags=("a", f'"{number}"') if number % 5 == 0 else (),
        occurred_at=occurred if number % 7 == 0 else None,
    )


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteEventStore]:
    """Some 1,200 events of two categories, in two tenants."""
    async with SqliteEventStore(tmp_path / "log.db") as store:
        for first in range(0, 1_200, 40):
            writes = tuple(
                Write(f"{kind}-{first}é", tuple(_event(first + n) for n in range(20)), 0)
                for kind in ("red", "blue")
            )
            tenant, actor = ("", "t")[first % 80 // 40], Metadata(actor=f"é{first}").to_json()
            await store.append(Append(writes, tenant=tenant, metadata=actor))
        yield store


async def _all(log: SqliteEventStore, *, limit: int, **scope: object) -> list[RecordedEvent]:
    found: list[RecordedEvent] = []
    after = START
    while True:
        page = await log.read(after=after, limit=limit, **scope)  # type: ignore[arg-type]
        found.extend(page.events)
        after = page.scanned
        if after.position >= page.head:
            return found


@pytest.mark.parametrize(
    ("scope", "number"),
    [({}, 1_200), ({"categories": {"red"}}, 600), ({"tenant": "t"}, 600), ({"tenant": "-"}, 0)],
    ids=str,
)
async def test_packed_events_are_those_that_come_row_by_row(
    log: SqliteEventStore,
    scope: dict[str, object],
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = [await _all(log, limit=limit, **scope) for limit in (500, 777, 10_000)]
    monkeypatch.setattr(reading, "_MANY", 10**9)
    rows = await _all(log, limit=10_000, **scope)
    assert packed == [rows, rows, rows]
    assert len(rows) == number
    assert {type(event) for event in packed[0]} <= {RecordedEvent}


async def test_a_page_of_too_many_bytes_is_cut_as_it_is_read(
    log: SqliteEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_BYTES", 5_000)
    page = await log.read(after=START, limit=10_000)
    size = sum(len(event.data) for event in page.events)
    assert 5_000 <= size <= 5_000 + limits.MAX_EVENT_BYTES
    assert size - len(page.events[-1].data) < 5_000
    assert page.scanned.position == page.events[-1].position
    assert await _all(log, limit=10_000) == await _all(log, limit=100)
