"""Parking where views are over views, or keys are sticky; and an audit knows of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from diptych.failpoints import FailpointError, armed, fail
from diptych.messages import RecordedEvent
from diptych.operations import Operations
from diptych.read import comparing, place, refold
from diptych.read.database import ReadDatabase
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.schema import DISCARDS, PARKED_EVENTS, PARKED_KEYS, RETRIES
from diptych.read.side import ReadSide
from diptych.read.view import View
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    Account,
    AccountEvent,
    Deposited,
    GetAccount,
    Labelled,
    Opened,
    account_events,
    append,
    project,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.owners import (
    GetOwner,
    GetTurnovers,
    Owner,
    Turnover,
    project_owner,
    project_turnover,
)
from tests.integration.parked import parked_keys, parked_positions, parking_view
from tests.integration.test_audit import LONG, by_hand, operations_of

EMMA, FINN = UUID(int=1), UUID(int=2)


class Superstitious(Exception):
    pass


def refuse_thirteen(
    row: Owner | None, before: Account | None, after: Account | None
) -> Owner | None:
    if after is not None and after.last_amount == 13:
        raise Superstitious
    return project_owner(row, before, after)


async def test_an_error_over_a_view_parks_the_key_of_the_root(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Both accounts are Ann's: what is parked of one keeps nothing of the other from her row."""
    root = parking_view()
    over = View("owners", source=root, row=Owner, key="owner", project=refuse_thirteen, version="1")

    async def get_account(query: GetAccount, rows: Rows) -> Account | None:
        return await rows.get(root, query.account_id)

    async def get_owner(query: GetOwner, rows: Rows) -> Owner | None:
        return await rows.get(over, query.owner)

    queries = [
        answer(GetAccount, get_account, reads=[root]),
        answer(GetOwner, get_owner, reads=[over]),
    ]
    await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 1))
    await append(store, Opened(FINN, "Ann"), Deposited(EMMA, 13), Deposited(FINN, 2))
    token = await append(store, Deposited(EMMA, 5), Deposited(FINN, 3))
    database = any_database()
    async with reading(store, models=[over, root], queries=queries, database=database) as side:
        await side.reached(token.position, timeout=LONG)
        assert [(key.tenant, key.events) for key in await parked_keys(side)] == [("", 2)]
        assert await parked_positions(side) == [4, 6]
        finn = await side.query(GetAccount(FINN), at_least=token)
        assert finn is not None
        assert finn.balance == 5
        ann = (await side.ask(GetOwner("Ann"))).value
        assert ann == Owner("Ann", 2, 6, 5)
        for view in ("accounts", "owners"):
            for sample in (None, 10):
                found = await operations_of(side).audit(view, sample=sample)
                assert found.equal, found
        await by_hand(database, root, lambda t: sa.update(t).values(balance=t.c.balance + 13))
        assert (await operations_of(side).audit("accounts")).different == 2
        await operations_of(side).rebuild_key("accounts", EMMA)
        await operations_of(side).rebuild_key("accounts", FINN)
        assert (await operations_of(side).audit("accounts")).equal
        assert await parked_positions(side) == [4, 6]


def refuse_bob(row: Turnover | None, event: AccountEvent, recorded: RecordedEvent) -> Turnover:
    if isinstance(event, Opened) and event.owner == "Bob":
        raise Superstitious
    return project_turnover(row, event, recorded)


async def test_events_that_are_parked_tell_sticky_keys_all_the_same(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    view: View[Turnover] = View(
        "turnovers",
        events=[account_events],
        row=Turnover,
        key="owner",
        sticky=True,
        project=refuse_bob,
        version="1",
        on_error="park",
    )

    async def get(query: GetTurnovers, rows: Rows) -> Any:
        return {row.owner: row for row in (await rows.page(view)).items}

    queries = [answer(GetTurnovers, get, reads=[view])]
    await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 1))
    await append(store, Opened(EMMA, "Bob"))
    await append(store, Deposited(EMMA, 2))
    token = await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 4))
    async with reading(store, models=[view], queries=queries, database=any_database()) as side:
        await side.reached(token.position, timeout=LONG)
        assert await parked_positions(side) == [3, 4]
        found = (await side.ask(GetTurnovers())).value
        assert found == {"Ann": Turnover("Ann", 5, 4)}
        assert (await operations_of(side).audit("turnovers")).equal
        assert (await operations_of(side).audit("turnovers", sample=10)).equal


async def test_an_audit_passes_over_what_was_discarded(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """As `discard` leaves it: what was parked is not applied, what comes after it is."""
    view = parking_view()
    token = await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, -1), Labelled(EMMA, ("x",)))
    database = any_database()
    async with reading(store, models=[view], queries=(), database=database) as side:
        await side.reached(token.position, timeout=LONG)
        (key,) = await parked_keys(side)
    async with reading(store, models=[view], queries=(), database=database, project=False) as side:
        async with database.transaction() as tx:
            told = {"key_id": key.key_id, "revision": key.revision, "first_position": 2}
            said = {"view": "accounts", "tenant": "", "key": key.key, "error": "", "reason": "x"}
            at = {"positions": "[2, 3]", "discarded_at": "2026-11-01T00:00:00+00:00"}
            await tx.execute(sa.insert(DISCARDS).values(**told, **said, **at))
            await tx.execute(sa.delete(PARKED_KEYS))
            await tx.execute(sa.delete(PARKED_EVENTS))
        await by_hand(database, view, lambda t: sa.update(t).values(_version=3))
        assert (await operations_of(side).audit("accounts")).equal
        assert (await operations_of(side).rebuild_key("accounts", EMMA)).problem == ""
        await by_hand(database, view, lambda t: sa.update(t).values(balance=-1))
        rebuilt = await operations_of(side).rebuild_key("accounts", EMMA)
        assert (rebuilt.problem, rebuilt.fields) == ("different", ("balance",))


@dataclass(frozen=True)
class Diary:
    """The last accounts of an owner that changed, in the order in which that was seen."""

    owner: str
    seen: str
    changes: int


def project_diary(row: Diary | None, before: Account | None, after: Account | None) -> Diary:
    account = after or before
    assert account is not None
    row = row or Diary(account.owner, "", 0)
    line = f"{account.account_id.int}:{after.balance if after else 'closed'}"
    return replace(row, seen=f"{row.seen} {line}"[-60:], changes=row.changes + 1)


@dataclass
class Refusing:
    """The rule of the accounts, which refuses some amounts until it is mended."""

    refused: set[int] = field(default_factory=lambda: {13})

    def __call__(
        self, row: Account | None, event: AccountEvent, recorded: RecordedEvent
    ) -> Account | None:
        if isinstance(event, Deposited) and event.amount in self.refused:
            raise Superstitious
        return project(row, event, recorded)


@dataclass(frozen=True)
class GetDiary(Query[Diary | None]):
    owner: str


@dataclass
class Diaries:
    """A view that parks, with views over it: of one the rows depend on the order of changes."""

    rule: Refusing
    store: MemoryEventStore
    side: ReadSide
    view: View[Diary]

    @property
    def operations(self) -> Operations:
        return operations_of(self.side)

    async def write(self, *events: AccountEvent) -> None:
        token = await append(self.store, *events)
        await self.side.reached(token.position, timeout=LONG)

    async def retry(self, account_id: UUID, *, refused: int | None = None) -> None:
        """With a rule that was mended; then there may be something else that it refuses."""
        self.rule.refused = set()
        await self.operations.retry("accounts", account_id)
        self.rule.refused = set() if refused is None else {refused}

    async def seen(self) -> str:
        row = (await self.side.ask(GetDiary("Ann"))).value
        assert row is not None
        return row.seen

    async def are_equal(self) -> None:
        for view in ("accounts", "diaries", "owners"):
            for sample in (None, 10):
                found = await self.operations.audit(view, sample=sample)
                assert found.equal, found
        assert (await self.operations.rebuild_key("diaries", "Ann")).problem == ""


@asynccontextmanager
async def diaries(store: MemoryEventStore, database: ReadDatabase) -> AsyncIterator[Diaries]:
    """Two accounts of Ann. One is parked from its second event on, and goes on."""
    rule = Refusing()
    root = parking_view(project=rule, version="1")
    view = View("diaries", source=root, row=Diary, key="owner", project=project_diary)
    over = View("owners", source=root, row=Owner, key="owner", project=project_owner)

    async def get(query: GetDiary, rows: Rows) -> Diary | None:
        return await rows.get(view, query.owner)

    queries, models = [answer(GetDiary, get, reads=[view])], [root, view, over]
    async with reading(store, models=models, queries=queries, database=database) as side:
        here = Diaries(rule, store, side, view)
        await append(store, Opened(EMMA, "Ann"), Opened(FINN, "Ann"))
        for amount in (13, 5, 1):
            await append(store, Deposited(EMMA, amount))
            await here.write(Deposited(FINN, amount + 20))
        yield here


async def test_an_audit_knows_what_views_over_a_view_have_seen_late(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """A retry applies events out of turn, each time that there is one."""
    async with diaries(store, any_database()) as d:
        await d.write(Deposited(FINN, 13))
        await d.are_equal()
        await d.retry(EMMA, refused=17)
        await d.are_equal()
        await d.write(Deposited(EMMA, 2))
        await d.retry(FINN, refused=17)
        assert (await d.seen()).endswith("1:13 1:18 1:19 1:21 2:92")
        await d.are_equal()
        await d.write(Deposited(EMMA, 17), Deposited(EMMA, 3), Deposited(FINN, 4))
        await d.write(Deposited(EMMA, 6), Deposited(FINN, 7))
        await d.are_equal()
        await d.retry(EMMA)
        assert (await d.seen()).endswith("2:96 2:103 1:38 1:41 1:47")
        await d.are_equal()


async def test_what_is_wrong_after_a_retry_is_found_and_a_rebuild_takes_the_order_of_the_log(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database()
    async with diaries(store, database) as d:
        await d.retry(EMMA)
        await by_hand(database, d.view, lambda t: sa.update(t).values(changes=t.c.changes + 1))
        found = await d.operations.audit("diaries")
        assert (found.different, found.findings[0].fields) == (1, ("changes",))
        assert (await d.operations.rebuild_key("diaries", "Ann")).problem == "different"
        await d.are_equal()
        (rebuilt,) = await d.operations.rebuild(["accounts"])
        assert rebuilt.serving
        verified = rebuilt.verification
        assert verified is not None
        assert (verified.finding, verified.compared) == (False, 2)
        assert (await d.seen()).endswith("1:13 2:33 1:18 2:58 1:19 2:79")
        await d.are_equal()
        await d.operations.drop_revision(1)
        async with database.snapshot() as snapshot:
            assert not await snapshot.execute(sa.select(RETRIES))


async def test_a_retry_that_is_cut_off_leaves_no_word_of_it(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database()
    async with diaries(store, database) as d:
        with armed("retry.before_commit", fail), pytest.raises(FailpointError):
            await d.retry(EMMA)
        async with database.snapshot() as snapshot:
            assert not await snapshot.execute(sa.select(RETRIES))
        await d.are_equal()


async def test_what_is_parked_is_read_anew_by_an_audit_only_when_it_has_changed(
    store: MemoryEventStore, any_database: AnyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the audit goes on: what is parked in between is not taken for missing."""
    monkeypatch.setattr(comparing, "_CHUNK", 1)
    read = [0]

    async def counted(*args: Any, **options: Any) -> refold.Skips:
        read[0] += 1
        if read[0] == 1:
            writing.append(asyncio.create_task(d.write(Deposited(UUID(int=12), 13))))
        return await refold.skips_of(*args, **options)

    writing: list[asyncio.Task[None]] = []
    async with diaries(store, any_database()) as d:
        for number in range(10, 30):
            await d.write(Opened(UUID(int=number), "Bob"), Deposited(UUID(int=number), 1))
        monkeypatch.setattr(place, "skips_of", counted)
        found = await d.operations.audit("accounts")
        assert found.equal, found
        assert found.rows >= 22
        await writing[0]
        assert 1 <= read[0] <= 3
        (parked, _) = await d.operations.parked("accounts")
        assert parked.events == 3
