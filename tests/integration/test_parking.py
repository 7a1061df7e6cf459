"""What is set aside when an event fails for its key, and what goes on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import ConfigurationError, ProjectionStopped
from diptych.failpoints import armed, cancel, fail
from diptych.messages import RecordedEvent
from diptych.read.model import Park
from diptych.read.readiness import State
from diptych.read.view import View
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.tokens import Token
from tests.integration.accounts import (
    Account,
    AccountEvent,
    Deposited,
    LabelCount,
    Labelled,
    Opened,
    account_events,
    account_view,
    append,
    labels_of,
    project,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.parked import (
    append_raw,
    checkpoints,
    parked_keys,
    parked_positions,
    parking_view,
)

FIVE_SECONDS = timedelta(seconds=5)


async def rows_of(side: Any, view: View[Account]) -> dict[UUID, Account]:
    """What is in the table, whatever is parked."""
    async with side._database.snapshot([view.wanted]) as snapshot:
        revision = snapshot.standings[view.wanted].revision
        bound = view.bind(revision, side._database.dialect)
        columns = [bound.table.table.c[name] for name in bound.table.fields]
        found = await snapshot.select(sa.select(*columns), {})
        rows = [bound.layout.row(each, side._database.dialect) for each in found]
    return {row.account_id: row for row in rows}


async def test_the_key_of_a_poisoned_event_is_set_aside_and_all_others_go_on(
    any_store: EventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bob = uuid4(), uuid4()
    view = parking_view()
    async with reading(any_store, database=any_database(), models=[view], queries=[]) as side:
        await append(any_store, Opened(ann, "Ann"), Deposited(ann, 1))
        await append(any_store, Opened(bob, "Bob"), Deposited(bob, 1))
        poison = await append(any_store, Deposited(ann, -1))
        joins = await append(any_store, Deposited(ann, 10))
        last = await append(any_store, Deposited(bob, 10))
        await side.reached(last.position, timeout=FIVE_SECONDS)
        rows = await rows_of(side, view)
        assert (rows[ann].balance, rows[bob].balance) == (1, 11)
        (parked,) = await parked_keys(side)
        assert parked.key == f'["{ann.hex}"]'
        assert (parked.first_position, parked.last_position) == (poison.position, joins.position)
        assert (parked.events, parked.error_position) == (2, poison.position)
        assert (parked.error_class, parked.error_type) == ("apply", "Deposited")
        assert parked.error.startswith("Poisoned in project")
        assert "secret" not in parked.error
        assert parked.attempts == 4
        assert await parked_positions(side) == [poison.position, joins.position]
        (checkpoint,) = await checkpoints(side)
        assert (checkpoint.status, checkpoint.parked_keys, checkpoint.parked_events) == (
            *("running", 1),
            2,
        )
        assert (await side.readiness()).ready


async def test_an_event_that_fails_in_the_middle_of_a_batch_costs_no_other_event(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Nor does what is around it get lost or applied twice, at whatever place it is."""
    accounts = [uuid4() for _ in range(20)]
    await append(store, *[Opened(each, "x") for each in accounts], stream="account-many")
    events: list[AccountEvent] = [Deposited(each, 1) for _ in range(50) for each in accounts]
    for place, each in ((3, 7), (500, 11), (999, 19)):
        events[place] = Deposited(accounts[each], -1)
    last = await append(store, *events, stream="account-many")
    view = parking_view()
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        await side.reached(last.position, timeout=timedelta(seconds=20))
        rows = await rows_of(side, view)
        expected = dict.fromkeys(accounts, 0)
        poisoned: set[UUID] = set()
        for event in events:
            assert isinstance(event, Deposited)
            if event.amount < 0:
                poisoned.add(event.account_id)
            if event.account_id not in poisoned:
                expected[event.account_id] += 1
        assert {key: row.balance for key, row in rows.items()} == expected
        assert {key: row.deposits for key, row in rows.items()} == expected
        assert len(await parked_keys(side)) == 3
        positions = await parked_positions(side)
        assert len(positions) == len(events) - sum(expected.values())


@pytest.mark.parametrize(
    "place",
    ["parking.before_commit", "projector.before_commit", "projector.after_commit"],
)
@pytest.mark.parametrize("action", [fail, cancel])
async def test_an_error_while_parking_parks_nothing_twice_and_loses_nothing(
    store: MemoryEventStore,
    any_database: AnyDatabase,
    place: str,
    action: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ann = uuid4()
    await append(store, Opened(ann, "Ann"))
    await append(store, Deposited(ann, -1))
    last = await append(store, Deposited(ann, 1))
    view = parking_view()
    with armed(place, action, times=2):
        async with reading(store, database=any_database(), models=[view], queries=[]) as side:
            await side.reached(last.position, timeout=FIVE_SECONDS)
            assert await parked_positions(side) == [last.position - 1, last.position]
            (parked,) = await parked_keys(side)
            assert parked.events == 2
            (checkpoint,) = await checkpoints(side)
            assert (checkpoint.parked_keys, checkpoint.parked_events) == (1, 2)


async def test_a_stop_in_the_middle_of_parking_is_taken_up_by_the_next_start(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ann, bob = uuid4(), uuid4()
    view = parking_view()
    last: Token | None = None
    for amount in (-1, 1, 2):
        await append(store, Opened(bob, "Bob"), Deposited(bob, 1))
        last = await append(store, Deposited(ann, amount))
        async with reading(store, database=any_database(), models=[view], queries=[]) as side:
            await side.reached(last.position, timeout=FIVE_SECONDS)
    assert last is not None
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        assert await parked_positions(side) == [3, 6, 9]


async def test_beyond_the_most_keys_it_stops_at_the_first_that_has_no_room(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    view = parking_view(on_error=Park(keys=2))
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        for _ in range(2):
            await append(store, Deposited(uuid4(), -1))
        third = await append(store, Deposited(uuid4(), -1))
        await append(store, Opened(uuid4(), "Bob"))
        with pytest.raises(ProjectionStopped, match="2 parked keys, its most") as stopped:
            await side.reached(third.position, timeout=FIVE_SECONDS)
        assert stopped.value.position == third.position
        assert "Poisoned" in stopped.value.reason
        (checkpoint,) = await checkpoints(side)
        assert (checkpoint.position, checkpoint.error_class) == (third.position - 1, "full")
        assert (await side.readiness()).views[0].state is State.STOPPED


async def test_beyond_the_most_events_it_stops_at_the_first_that_has_no_room(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ann, bob = uuid4(), uuid4()
    view = parking_view(on_error=Park(events=3))
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        await append(store, Deposited(ann, -1))
        await append(store, *[Deposited(ann, 1)] * 3, Opened(bob, "Bob"))
        with pytest.raises(ProjectionStopped, match="3 parked events, its most") as stopped:
            await side.reached(5, timeout=FIVE_SECONDS)
        assert stopped.value.position == 4
        assert await parked_positions(side) == [1, 2, 3]
        assert not await rows_of(side, view)


async def test_what_was_parked_stays_parked_when_the_view_does_not_park_any_more(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """`on_error` is no part of the rule: it is the same revision."""
    ann = uuid4()
    poison = await append(store, Deposited(ann, -1))
    async with reading(store, database=any_database(), models=[parking_view()], queries=[]) as side:
        await side.reached(poison.position, timeout=FIVE_SECONDS)
    stopping = account_view()
    async with reading(store, database=any_database(), models=[stopping], queries=[]) as side:
        joins = await append(store, Deposited(ann, 1))
        await side.reached(joins.position, timeout=FIVE_SECONDS)
        assert await parked_positions(side) == [1, 2]
        other = await append(store, Deposited(uuid4(), -1))
        with pytest.raises(ProjectionStopped):
            await side.reached(other.position, timeout=FIVE_SECONDS)


@pytest.mark.parametrize(
    ("event_type", "data", "kind"),
    [
        ("Renamed", b"{}", "unknown type"),
        ("Deposited", b'{"amount": "many"}', "decode"),
        ("Deposited", b"null", "decode"),
    ],
)
async def test_what_cannot_be_decoded_has_no_key_and_stops_the_view(
    store: MemoryEventStore, any_database: AnyDatabase, event_type: str, data: bytes, kind: str
) -> None:
    view = parking_view()
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        await append(store, Opened(uuid4(), "Ann"))
        position = await append_raw(store, event_type, data)
        with pytest.raises(ProjectionStopped) as stopped:
            await side.reached(position, timeout=FIVE_SECONDS)
        assert stopped.value.position == position
        (checkpoint,) = await checkpoints(side)
        assert (checkpoint.error_class, checkpoint.error_type) == (kind, event_type)
        assert (checkpoint.error_position, checkpoint.attempts) == (position, 4)
        assert checkpoint.failed_at
        assert not await parked_keys(side)
        assert len(await rows_of(side, view)) == 1


def confused(row: Account | None, event: AccountEvent, recorded: RecordedEvent) -> Account | None:
    after = project(row, event, recorded)
    bad = isinstance(event, Deposited) and event.amount == 13
    return replace(after, account_id=UUID(int=1)) if after and bad else after


def careless(row: Account | None, event: AccountEvent, recorded: RecordedEvent) -> Account | None:
    """Once the 13 was seen the row cannot be stored, whatever comes later."""
    after = project(row, event, recorded)
    bad = isinstance(event, Deposited) and event.amount == 13
    return replace(after, owner="NUL \0") if after and bad else after


def talkative(row: Account | None, event: AccountEvent, recorded: RecordedEvent) -> Account | None:
    """Too long for an index of PostgreSQL, however well it is compressed."""
    after = project(row, event, recorded)
    bad = isinstance(event, Deposited) and event.amount == 13
    owner = "".join(uuid4().hex for _ in range(400))
    return replace(after, owner=owner) if after and bad else after


def boundless(row: Account | None, event: AccountEvent, recorded: RecordedEvent) -> Account | None:
    after = project(row, event, recorded)
    bad = isinstance(event, Deposited) and event.amount == 13
    return replace(after, balance=2**63) if after and bad else after


@pytest.mark.parametrize("rule", [confused, careless, boundless, talkative])
async def test_a_row_that_cannot_be_stored_parks_its_key_from_the_event_that_made_it_so(
    store: MemoryEventStore, any_database: AnyDatabase, rule: Any
) -> None:
    """A row with another key, with text or a number that no column holds, or too long for an
    index: the first such event is found in a page of many."""
    ann, bob = uuid4(), uuid4()
    await append(store, Opened(ann, "Ann"), Opened(bob, "Bob"), stream="account-many")
    events: list[AccountEvent] = [Deposited(each, 1) for _ in range(100) for each in (ann, bob)]
    events[120] = Deposited(ann, 13)
    last = await append(store, *events, stream="account-many")
    view = parking_view(project=rule, version="1")
    database = any_database()
    async with reading(store, database=database, models=[view], queries=[]) as side:
        await side.reached(last.position, timeout=timedelta(seconds=20))
        rows = await rows_of(side, view)
        assert rows[bob].balance == 100
        if rule is talkative and database.dialect.name == "sqlite":
            assert len(rows[ann].owner) == 12_800
            return
        assert rows[ann].balance == 60
        (parked,) = await parked_keys(side)
        assert parked.key == f'["{ann.hex}"]'
        assert (parked.error_position, parked.events) == (123, 40)
        assert parked.first_position == 123


def suspicious(
    row: LabelCount | None, event: AccountEvent, recorded: RecordedEvent, label: str
) -> LabelCount | None:
    if label.startswith("bad"):
        raise ValueError(label)
    return LabelCount(label, row.accounts + 1 if row else 1)


async def test_where_an_event_concerns_several_keys_only_those_that_fail_are_parked(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    view = View(
        "labels",
        events=[account_events],
        row=LabelCount,
        key="label",
        keys=labels_of,
        project=suspicious,
        on_error="park",
    )
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        await append(store, Labelled(uuid4(), ("good", "bad", "fine", "bad too")))
        last = await append(store, Labelled(uuid4(), ("good", "bad")))
        await side.reached(last.position, timeout=FIVE_SECONDS)
        parked = {each.key: each.events for each in await parked_keys(side)}
        assert parked == {'["bad"]': 2, '["bad too"]': 1}
        async with side._database.snapshot([view.wanted]) as snapshot:
            bound = view.bind(1, side._database.dialect)
            keys = [("", each) for each in ("good", "fine", "bad")]
            found = await snapshot.load(bound.table, keys)
        assert sorted(tuple(each[1:3]) for each in found) == [("fine", 1), ("good", 2)]


async def test_a_key_of_one_tenant_does_not_park_that_of_another(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ann = uuid4()
    view = parking_view()
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        await append(store, Deposited(ann, -1), tenant="one")
        await append(store, Opened(ann, "Ann"), Deposited(ann, 1), tenant="two")
        last = await append(store, Deposited(ann, 1), tenant="one")
        await side.reached(last.position, timeout=FIVE_SECONDS)
        (parked,) = await parked_keys(side)
        assert (parked.tenant, parked.events) == ("one", 2)
        assert (await rows_of(side, view))[ann].balance == 1


async def test_each_partition_parks_its_own_keys(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    view = parking_view(partitions=4)
    poisoned = [uuid4() for _ in range(12)]
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        for each in poisoned:
            await append(store, Opened(each, "x"), Deposited(each, -1))
        last = await append(store, *[Deposited(each, 1) for each in poisoned], stream="account-x")
        await side.reached(last.position, timeout=timedelta(seconds=20))
        parked = await parked_keys(side)
        assert {each.key for each in parked} == {f'["{each.hex}"]' for each in poisoned}
        assert all(each.events == 2 for each in parked)
        by_partition = await checkpoints(side)
        assert len(by_partition) == 4
        assert sum(each.parked_keys for each in by_partition) == 12
        assert sum(each.parked_events for each in by_partition) == 24


async def test_new_code_is_a_new_revision_which_tries_everything_again(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    def mended(row: Account | None, event: AccountEvent, recorded: RecordedEvent) -> Account | None:
        if isinstance(event, Deposited) and event.amount < 0:
            return row
        return project(row, event, recorded)

    ann = uuid4()
    await append(store, Opened(ann, "Ann"), Deposited(ann, -1))
    last = await append(store, Deposited(ann, 5))
    async with reading(store, database=any_database(), models=[parking_view()], queries=[]) as side:
        await side.reached(last.position, timeout=FIVE_SECONDS)
        assert await parked_positions(side) == [2, 3]
    fixed = parking_view(project=mended)
    async with reading(store, database=any_database(), models=[fixed], queries=[]) as side:
        await side.reached(last.position, timeout=FIVE_SECONDS)
        assert (await rows_of(side, fixed))[ann].balance == 5
        assert {each.revision for each in await parked_keys(side)} == {1}


async def test_an_error_that_passes_parks_nothing(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    failures = iter([True, True, True])

    def shaky(row: Account | None, event: AccountEvent, recorded: RecordedEvent) -> Account | None:
        if isinstance(event, Deposited) and next(failures, False):
            raise MemoryError
        return project(row, event, recorded)

    ann = uuid4()
    view = parking_view(project=shaky, version="1")
    async with reading(store, database=any_database(), models=[view], queries=[]) as side:
        last = await append(store, Opened(ann, "Ann"), Deposited(ann, 1))
        await side.reached(last.position, timeout=FIVE_SECONDS)
        assert (await rows_of(side, view))[ann].balance == 1
        assert not await parked_keys(side)
        (checkpoint,) = await checkpoints(side)
        assert checkpoint.status == "running"
        assert (checkpoint.error, checkpoint.error_class, checkpoint.attempts) == (None, None, 0)


@pytest.mark.parametrize("on_error", ["skip", None, Park(keys=0), Park(events=-1)])
def test_a_policy_that_cannot_be_is_refused(on_error: Any) -> None:
    with pytest.raises(ConfigurationError, match="on_error= is 'stop', 'park' or Park"):
        parking_view(on_error=on_error)
