"""`Projection`: tables of one's own, in the same transaction as the checkpoint."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from diptych.errors import ConfigurationError, ProjectionStopped, StoreClosed
from diptych.failpoints import armed, fail
from diptych.messages import RecordedEvent
from diptych.read.projection import Projection, ProjectionTransaction
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    AccountEvent,
    Deposited,
    Labelled,
    Noted,
    Opened,
    account_events,
    append,
    head_token,
    note_events,
    projector_of,
    reading,
)

metadata = sa.MetaData()
totals = sa.Table(
    "totals",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("amount", sa.Integer, primary_key=True),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Index("totals_times", "times"),
)
journal = sa.Table(
    "journal",
    metadata,
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False, unique=True),
)


async def apply(
    tx: ProjectionTransaction, event: AccountEvent | Noted, recorded: RecordedEvent
) -> None:
    match event:
        case Deposited(amount=amount):
            counted = tx.table(totals)
            new = insert(counted).values(tenant=recorded.tenant, amount=amount, times=1)
            await tx.execute(
                new.on_conflict_do_update(
                    index_elements=["tenant", "amount"], set_={"times": counted.c.times + 1}
                )
            )
        case Noted(text=text):
            await tx.execute(
                sa.insert(tx.table(journal)), [{"position": recorded.position, "kind": text}]
            )
        case Labelled():
            raise RuntimeError("no labels here")
        case _:
            pass


spend = Projection(
    "spend", events=[account_events, note_events], tables=[totals, journal], apply=apply
)


@dataclass(frozen=True)
class GetTotals(Query[dict[int, int]]):
    pass


async def get_totals(query: GetTotals, rows: Rows) -> dict[int, int]:
    table = rows.table(spend, totals)
    found = await rows.execute(sa.select(table).where(table.c.tenant == rows.tenant))
    return {row.amount: row.times for row in found}


@dataclass(frozen=True)
class GetJournal(Query[list[str]]):
    pass


async def get_journal(query: GetJournal, rows: Rows) -> list[str]:
    table = rows.table(spend, journal)
    found = await rows.execute(sa.select(table.c.kind).order_by(table.c.position))
    return [row.kind for row in found]


QUERIES = [
    answer(GetTotals, get_totals, reads=[spend]),
    answer(GetJournal, get_journal, reads=[spend]),
]


@pytest.mark.parametrize("name", ["projector.before_checkpoint", "projector.before_commit"])
async def test_a_projection_that_counts_is_right_after_errors(
    any_store: EventStore, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with armed(name, fail, on=1, times=2):
        async with reading(any_store, models=[spend], queries=QUERIES) as side:
            for amount in (1, 2, 1, 3, 1):
                await append(any_store, Deposited(uuid4(), amount))
                await append(any_store, Noted(str(uuid4())))
            await append(any_store, Deposited(uuid4(), 1), tenant="other")
            token = await head_token(any_store)
            assert await side.query(GetTotals(), at_least=token) == {1: 3, 2: 1, 3: 1}
            assert await side.query(GetTotals(), tenant="other") == {1: 1}
            assert len(await side.query(GetJournal())) == 5


@pytest.mark.parametrize("poison", [Labelled(uuid4(), ()), Noted("twice")])
async def test_an_event_that_cannot_be_applied_stops_it_after_those_before(
    store: MemoryEventStore, poison: Labelled | Noted, caplog: pytest.LogCaptureFixture
) -> None:
    await append(store, Noted("once"))
    token = await append(store, Noted("twice"))
    stopped_at = (await append(store, poison)).position
    await append(store, Noted("later"))
    async with reading(store, models=[spend], queries=QUERIES) as side:
        with pytest.raises(ProjectionStopped) as stopped:
            async with asyncio.timeout(5):
                await side.reached(stopped_at, timeout=spend.max_lag)
        assert stopped.value.position == stopped_at
        assert projector_of(side, "spend").point.position == token.position


async def test_a_table_that_is_not_declared_is_refused(store: MemoryEventStore) -> None:
    other = sa.Table("other", sa.MetaData(), sa.Column("a", sa.Integer))

    @dataclass(frozen=True)
    class Other(Query[int]):
        pass

    async def read_other(query: Other, rows: Rows) -> int:
        rows.table(spend, other)
        return 1

    queries = [answer(Other, read_other, reads=[spend])]
    async with reading(store, models=[spend], queries=queries) as side:
        with pytest.raises(ConfigurationError, match="other"):
            await side.query(Other())


async def test_each_revision_has_its_own_tables(store: MemoryEventStore, tmp_path: Path) -> None:
    async def apply_twice(
        tx: ProjectionTransaction, event: AccountEvent, recorded: RecordedEvent
    ) -> None:
        await apply(tx, event, recorded)
        await apply(tx, event, recorded)

    changed = Projection(
        "spend",
        events=[account_events],
        tables=[totals, journal],
        apply=apply_twice,
        version="twice",
    )

    @dataclass(frozen=True)
    class Changed(Query[int]):
        pass

    async def get_changed(query: Changed, rows: Rows) -> int:
        table = rows.table(changed, totals)
        return int((await rows.execute(sa.select(table.c.times)))[0][0])

    path = tmp_path / "read.db"
    await append(store, Deposited(uuid4(), 5))
    async with reading(store, path=path, models=[spend], queries=QUERIES) as side:
        assert await side.query(GetTotals()) == {5: 1}
        async with reading(
            store,
            path=path,
            models=[changed],
            queries=[answer(Changed, get_changed, reads=[changed])],
        ) as new:
            assert await new.query(Changed()) == 2
            token = await append(store, Deposited(uuid4(), 5))
            assert await new.query(Changed(), at_least=token) == 4
        assert await side.query(GetTotals(), at_least=token) == {5: 2}


def test_tables_that_cannot_be_are_refused() -> None:
    def declared(table: sa.Table) -> None:
        Projection("p", events=[account_events], tables=[table], apply=apply)

    with pytest.raises(ConfigurationError, match="Bad"):
        declared(sa.Table("Bad name", sa.MetaData(), sa.Column("a", sa.Integer)))
    parent = sa.Table("parent", sa.MetaData(), sa.Column("a", sa.Integer, primary_key=True))
    with pytest.raises(ConfigurationError, match="foreign keys"):
        declared(
            sa.Table(
                "child", parent.metadata, sa.Column("a", sa.Integer, sa.ForeignKey("parent.a"))
            )
        )
    with pytest.raises(ConfigurationError, match="tables="):
        Projection("p", events=[account_events], tables=[], apply=apply)


async def test_an_opened_account_is_nothing_to_it(store: MemoryEventStore) -> None:
    async with reading(store, models=[spend], queries=QUERIES) as side:
        token = await append(store, Opened(uuid4(), "Ann"))
        assert await side.query(GetTotals(), at_least=token) == {}


async def test_what_apply_did_not_await_is_not_written_outside_of_the_transaction(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    left = list[asyncio.Task[None]]()

    async def write(tx: ProjectionTransaction, text: str, position: int) -> None:
        row = {"position": position, "kind": text}
        await tx.execute(sa.insert(tx.table(journal)), [row])

    async def later(tx: ProjectionTransaction) -> None:
        await asyncio.sleep(0.02)
        await write(tx, "too late", 99)

    async def careless(tx: ProjectionTransaction, event: Noted, recorded: RecordedEvent) -> None:
        left.append(asyncio.create_task(later(tx)))
        await write(tx, event.text, recorded.position)

    notes = Projection("notes", events=[note_events], tables=[journal], apply=careless, version="1")

    async def all_notes(query: GetJournal, rows: Rows) -> list[str]:
        table = rows.table(notes, journal)
        return [row.kind for row in await rows.execute(sa.select(table.c.kind))]

    queries = [answer(GetJournal, all_notes, reads=[notes])]
    async with reading(store, models=[notes], queries=queries) as side:
        token = await append(store, Noted("in time"))
        await side.query(GetJournal(), at_least=token)
        with pytest.raises(StoreClosed, match="must await"):
            await left[0]
        assert await side.query(GetJournal()) == ["in time"]
