"""What stops a projection, what it waits for, and what it says about it."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from diptych.errors import (
    ConsistencyTimeout,
    HistoryDiverged,
    ProjectionStopped,
    StorageFull,
)
from diptych.messages import EventData, RecordedEvent
from diptych.read.projector import Status
from diptych.read.query import answer
from diptych.read.readiness import State
from diptych.read.rows import Rows
from diptych.sqlite_library import sqlite
from diptych.store.contract import ANY_VERSION, Append, EventStore, Write
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    SOON,
    Account,
    AccountEvent,
    Deposited,
    GetAccount,
    GetLabel,
    LabelCount,
    Labelled,
    Opened,
    account_view,
    accounts,
    all_accounts,
    append,
    get_account,
    get_label,
    head_token,
    labels,
    project,
    projector_of,
    reading,
)

LONG = timedelta(seconds=30)


async def append_raw(store: EventStore, event_type: str, data: bytes) -> int:
    event = EventData(event_type, data, uuid4())
    write = Write("account-raw", (event,), ANY_VERSION)
    return (await store.append(Append((write,)))).point.position


async def test_an_event_that_project_refuses_stops_this_view_and_no_other(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = uuid4()
    queries = [
        answer(GetAccount, get_account, reads=[accounts]),
        answer(GetLabel, get_label, reads=[labels]),
    ]
    async with reading(store, models=[accounts, labels], queries=queries) as side:
        before = await append(store, Opened(account_id, "Ann"), Deposited(account_id, 1))
        poison = await append(store, Deposited(account_id, -1))
        after = await append(store, Deposited(account_id, 5), Labelled(account_id, ("vip",)))
        assert await side.query(GetLabel("vip"), at_least=after) == LabelCount("vip", 1)
        await wait_until(lambda: projector_of(side).status is Status.STOPPED)
        row = await side.query(GetAccount(account_id), at_least=before)
        assert row is not None
        assert row.balance == 1
        with pytest.raises(ProjectionStopped):
            await side.query(GetAccount(account_id), at_least=poison)
        status = (await side.readiness()).views[0]
        assert status.state is State.STOPPED
        assert "Poisoned" in status.error
        assert "secret" not in status.error


async def test_all_events_before_the_one_that_stops_it_are_applied(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    """Also those of its own batch: the checkpoint is right before it."""
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"), *[Deposited(account_id, 1)] * 100)
    token = await head_token(store)
    poison = await append(store, Deposited(account_id, -1), Deposited(account_id, 1))
    async with reading(store, path=tmp_path / "read.db") as side:
        with pytest.raises(ProjectionStopped) as stopped:
            await side.reached(poison.position, timeout=LONG)
        assert stopped.value.position == token.position + 1
        assert stopped.value.projection == "accounts"
        assert projector_of(side).point.position == token.position
        with pytest.raises(ProjectionStopped):
            await side.query(GetAccount(account_id))
    with sqlite.connect(tmp_path / "read.db") as db:
        found = db.execute(
            "SELECT position, status, error_position, error FROM diptych_checkpoints"
        ).fetchone()
    db.close()
    assert found[:3] == (token.position, "stopped", token.position + 1)
    assert found[3].startswith("Poisoned")


async def test_after_a_fix_a_stopped_view_goes_on_where_it_stopped(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    """The fix has the same `version`, so it is the same revision."""
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"), Deposited(account_id, 1))
    poison = await append(store, Deposited(account_id, -1), Deposited(account_id, 1))
    broken = account_view(version="1")
    async with reading(store, path=tmp_path / "read.db", models=[broken], queries=[]) as side:
        with pytest.raises(ProjectionStopped):
            await side.reached(poison.position, timeout=LONG)

    def forgiving(
        row: Account | None, event: AccountEvent, recorded: RecordedEvent
    ) -> Account | None:
        if isinstance(event, Deposited) and event.amount < 0:
            return row
        return project(row, event, recorded)

    fixed = account_view(version="1", project=forgiving)

    async def get(query: GetAccount, rows: Rows) -> Account | None:
        return await rows.get(fixed, query.account_id)

    queries = [answer(GetAccount, get, reads=[fixed])]
    async with reading(store, path=tmp_path / "read.db", models=[fixed], queries=queries) as side:
        row = await side.query(GetAccount(account_id), at_least=poison)
        assert row is not None
        assert row.deposits == 2
        assert (await side.readiness()).ready


@pytest.mark.parametrize(
    ("event_type", "data", "reason"),
    [
        ("Renamed", b"{}", "UnknownEventType"),
        ("Deposited", b'{"amount": "many"}', "UndecodableEvent"),
    ],
)
async def test_an_event_that_cannot_be_decoded_stops_the_view_and_is_named(
    store: MemoryEventStore, event_type: str, data: bytes, reason: str
) -> None:
    async with reading(store) as side:
        token = await append(store, Opened(uuid4(), "Ann"))
        position = await append_raw(store, event_type, data)
        with pytest.raises(ProjectionStopped, match=reason) as stopped:
            await side.reached(position, timeout=LONG)
        assert stopped.value.position == position
        assert len(await all_accounts(side, token)) == 1
        readiness = await side.readiness()
        assert not readiness.ready


async def test_a_row_with_another_key_stops_the_view(store: MemoryEventStore) -> None:
    def confused(
        row: Account | None, event: AccountEvent, recorded: RecordedEvent
    ) -> Account | None:
        return Account(UUID(int=1), "x", 0, 0, recorded.at, None)

    view = account_view(project=confused, version="1")
    async with reading(store, models=[view], queries=[]) as side:
        token = await append(store, Opened(uuid4(), "Ann"))
        with pytest.raises(ProjectionStopped, match="another key"):
            await side.reached(token.position, timeout=LONG)


async def test_a_row_that_does_not_fit_its_columns_stops_the_view(
    store: MemoryEventStore,
) -> None:
    def careless(
        row: Account | None, event: AccountEvent, recorded: RecordedEvent
    ) -> Account | None:
        return Account(event.account_id, "NUL \0", 0, 0, recorded.at, None)

    view = account_view(project=careless, version="1")
    async with reading(store, models=[view], queries=[]) as side:
        token = await append(store, Opened(uuid4(), "Ann"))
        with pytest.raises(ProjectionStopped, match="owner: must not contain NUL"):
            await side.reached(token.position, timeout=LONG)


async def test_a_full_disk_is_waited_for(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing is missing afterwards."""
    async with reading(store) as side:
        await side.reached(0, timeout=LONG)
        driver = side._database._open.writer.driver  # type: ignore[attr-defined]
        pages = driver.execute("PRAGMA page_count").fetchone()[0]
        driver.execute(f"PRAGMA max_page_count = {pages}")
        token = await append(store, *[Opened(uuid4(), "x" * 500) for _ in range(200)])
        await wait_until(lambda: projector_of(side).status is Status.RETRYING)
        assert StorageFull.__name__ in projector_of(side).error
        driver.execute("PRAGMA max_page_count = 1000000")
        assert len(await all_accounts(side, token)) == 200
        assert projector_of(side).status is Status.RUNNING


async def test_a_locked_database_is_waited_for_without_blocking_the_loop(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    path = tmp_path / "read.db"
    async with reading(store, path=path) as side:
        account_id = uuid4()
        seen = await append(store, Opened(account_id, "Ann"))
        await side.reached(seen.position, timeout=LONG)
        other = sqlite.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        token = await append(store, Deposited(account_id, 5))
        with pytest.raises(ConsistencyTimeout):
            await side.query(GetAccount(account_id), at_least=token, timeout=SOON)
        assert await side.query(GetAccount(account_id)) is not None
        other.execute("ROLLBACK")
        other.close()
        row = await side.query(GetAccount(account_id), at_least=token)
        assert row is not None
        assert row.balance == 5


async def test_a_database_that_follows_another_log_is_refused_at_start(tmp_path: Path) -> None:
    first, second = MemoryEventStore(), MemoryEventStore()
    await first.open()
    await second.open()
    async with reading(first, path=tmp_path / "read.db"):
        pass
    with pytest.raises(HistoryDiverged, match=str(first.log_id)):
        async with reading(second, path=tmp_path / "read.db"):
            pass


async def test_a_project_that_returns_no_row_of_the_view_stops_it(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(row: Account | None, event: AccountEvent, recorded: RecordedEvent) -> Account | None:
        return event  # type: ignore[return-value]

    async with reading(store, models=[account_view(project=wrong)], queries=[]) as side:
        poison = await append(store, Deposited(uuid4(), 1))
        with pytest.raises(ProjectionStopped, match="row: must be a Account") as stopped:
            await side.reached(poison.position, timeout=LONG)
        assert stopped.value.position == poison.position
