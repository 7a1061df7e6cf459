"""What clients of each store record, while they work side by side, breaks no clause."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from diptych.store.contract import (
    ANY_VERSION,
    START,
    Append,
    Appended,
    EventStore,
    Load,
    Loaded,
    LogPage,
    Point,
)
from diptych.store.memory import Hostile, MemoryEventStore
from diptych.store.postgres.store import PostgresEventStore
from diptych.store.sqlite.store import SqliteEventStore
from tests.history.checker import findings
from tests.history.recording import recorded
from tests.history.records import History, Outcome
from tests.soak import SOAK

SEEDS = range(2 * SOAK)


@pytest.fixture(params=["memory", "hostile", "sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[EventStore], str]:
    """Openings of one log, two where several processes may have it; and a read database."""
    match request.param:
        case "memory":
            return [MemoryEventStore()], "sqlite://"
        case "hostile":
            return [MemoryEventStore(hostile=Hostile(seed=5, unknown_outcomes=0.2))], "sqlite://"
        case "sqlite":
            file = tmp_path / "log.db"
            return [SqliteEventStore(file) for _ in "ab"], f"sqlite:///{tmp_path / 'read.db'}"
    url = request.getfixturevalue("postgres").create_database()
    return [PostgresEventStore(url) for _ in "ab"], f"{url}?schema=read"


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_clause_is_broken(log: tuple[list[EventStore], str], seed: int) -> None:
    stores, read = log
    history = await recorded(stores, read, seed=seed)
    assert findings(history) == []
    assert _is_rich(history)


class IgnoresVersions(MemoryEventStore):
    async def append(self, append: Append) -> Appended:
        writes = tuple(replace(each, expected_version=ANY_VERSION) for each in append.writes)
        return await super().append(replace(append, writes=writes))


class ShowsOldStreams(MemoryEventStore):
    """As a standby does that is behind."""

    async def load(self, load: Load) -> Loaded:
        found = await super().load(load)
        return replace(found, events=found.events[:-1], version=max(found.version - 1, 0))


class Skips(MemoryEventStore):
    """As a log does whose positions are given out before they are committed. Only short pages:
    the log is read as a whole in the end."""

    async def read(self, *, after: Point = START, limit: int = 1000, **what: Any) -> LogPage:
        page = await super().read(after=after, limit=limit, **what)
        late = limit < 10 and len(page.events) > 2
        return replace(page, events=(page.events[0], *page.events[2:])) if late else page


@pytest.mark.parametrize(
    ("store", "clause"),
    [(IgnoresVersions, "expected"), (ShowsOldStreams, "fresh"), (Skips, "pages")],
)
async def test_a_log_with_a_defect_is_found_out(store: type[MemoryEventStore], clause: str) -> None:
    """Its clients work on, and none of them notices anything."""
    history = await recorded([store()], "sqlite://", seed=1)
    assert clause in {each.clause for each in findings(history)}


def _is_rich(history: History) -> bool:
    """Something was recorded for each clause to look at; clients met, and were refused."""
    outcomes = {each.outcome for each in history.appendings}
    shown = sum(bool(each.seen) for each in history.pagings)
    followed = all(each.seen for each in history.followings)
    values = {each.value for each in history.askings}
    met = outcomes >= {Outcome.DONE, Outcome.REFUSED}
    return met and followed and shown > 20 and len(values) > 10 and len(history.loadings) > 50
