"""What readiness says of views that park, and of views that are paused."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from diptych.read.explanation import Why
from diptych.read.pausing import pause, resume
from diptych.read.readiness import State, ViewStatus
from diptych.read.side import ReadSide
from diptych.store.memory import MemoryEventStore
from diptych.testing import wait_until
from tests.integration.accounts import Deposited, Opened, append, reading
from tests.integration.conftest import AnyDatabase
from tests.integration.parked import append_raw, parking_view

LONG = timedelta(seconds=10)
THEN = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
async def side(store: MemoryEventStore, any_database: AnyDatabase) -> AsyncIterator[ReadSide]:
    models = (parking_view(max_lag=timedelta(milliseconds=1)),)
    async with reading(store, database=any_database(), models=models, queries=()) as opened:
        yield opened


async def status(side: ReadSide) -> ViewStatus:
    (found,) = (await side.readiness()).views
    return found


async def test_parked_keys_and_events_are_counted_and_do_not_make_it_unready(
    side: ReadSide, store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bea = uuid4(), uuid4()
    await append(store, Opened(ann, "Ann"))
    for account in (ann, bea):
        for _ in range(2):
            await append(store, Deposited(account, -1))
    await side.reached(5, timeout=LONG)
    found = await status(side)
    assert (found.parked_keys, found.parked_events, found.state) == (2, 4, State.LIVE)
    assert (await side.readiness()).ready
    causes = (await side.why("accounts")).causes
    assert [each.why for each in causes] == [Why.NOTHING_TO_DO, Why.PARKED]
    assert causes[1].facts == {"keys": 2, "events": 4}


async def test_a_view_that_is_paused_says_so_and_stays_ready_until_it_is_resumed(
    side: ReadSide, store: MemoryEventStore
) -> None:
    """It is behind by more than its `max_lag`: but that is what the operator wanted."""
    await append(store, Opened(uuid4(), "Ann"))
    await side.reached(1, timeout=LONG)
    assert await pause(side._database, "accounts", reason="a move", at=THEN)
    await append(store, Opened(uuid4(), "Bea"))
    found = await status(side)
    assert (found.state, found.paused_reason, found.position) == (State.PAUSED, "a move", 1)
    assert found.paused_at == THEN.isoformat()
    assert not found.within_max_lag
    assert (await side.readiness()).ready
    cause = (await side.why("accounts")).cause
    assert (cause.why, cause.facts["reason"]) == (Why.PAUSED, "a move")
    await resume(side._database, "accounts")
    await side.reached(2, timeout=LONG)
    found = await status(side)
    assert (found.state, found.paused_at) == (State.LIVE, "")


async def test_a_stop_is_told_before_a_pause(
    side: ReadSide, store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    """To resume it would not be enough."""

    await append_raw(store, "Unheard", b"{}")

    async def is_stopped() -> bool:
        return (await status(side)).state is State.STOPPED

    await wait_until(is_stopped)
    await pause(side._database, "accounts", reason="", at=THEN)
    found = await status(side)
    assert (found.state, bool(found.paused_at)) == (State.STOPPED, True)
    assert [each.why for each in (await side.why("accounts")).causes] == [Why.PAUSED, Why.STOPPED]
    assert not (await side.readiness()).ready
