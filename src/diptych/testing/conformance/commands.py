"""Command records: a command takes effect once, and a repeat gets the first outcome."""

from uuid import uuid4

from msgspec.structs import replace

from diptych.errors import CommandIdReused, ConcurrencyError
from diptych.store.contract import (
    Append,
    Appended,
    CommandKey,
    EventStore,
    Load,
    RecordedCommand,
    StreamVersion,
)
from diptych.testing.conformance.steps import (
    Suite,
    about,
    add,
    at_once,
    command,
    happened,
    load,
    log_of,
    outcomes,
    refused,
    settle,
    to,
    unless,
)


class CommandConformance(Suite):
    async def test_a_repeated_command_gets_the_first_outcome_and_writes_nothing(
        self, store: EventStore
    ) -> None:
        append = add(to("a-1", happened(), happened()), to("b-1"))
        first = await settle(store, append)
        assert await settle(store, append) == replace(first, repeated=True)
        assert len(await log_of(store)) == 3

    async def test_a_repeat_gets_the_streams_as_they_were_then(self, store: EventStore) -> None:
        append = add(to("order-1"))
        first = await settle(store, append)
        await settle(store, add(to("order-1", happened(), happened())))
        again = await settle(store, append)
        assert (again.point, again.streams) == (first.point, (StreamVersion("order-1", 1),))

    async def test_a_repeat_under_a_stale_version_gets_the_first_outcome(
        self, store: EventStore
    ) -> None:
        append = add(to("order-1", expecting=0))
        first = await settle(store, append)
        assert await settle(store, append) == replace(first, repeated=True)

    async def test_a_repeat_under_a_failed_condition_gets_the_first_outcome(
        self, store: EventStore
    ) -> None:
        append = add(to("order-1"), condition=unless(about()))
        first = await settle(store, append)
        assert await settle(store, append) == replace(first, repeated=True)

    async def test_a_repeat_may_carry_other_events(self, store: EventStore) -> None:
        record = command()
        first = await settle(store, add(to("order-1"), record=record))
        again = await settle(store, add(to("other-1"), record=record))
        assert again == replace(first, repeated=True)
        assert (await load(store, "other-1")).version == 0

    async def test_another_hash_is_refused_and_writes_nothing(self, store: EventStore) -> None:
        record = command(b"what was sent first")
        await settle(store, add(to("order-1"), record=record))
        async with refused(store, CommandIdReused) as refusal:
            await settle(store, add(to("order-1"), record=replace(record, hash=b"other")))
        assert refusal.value.command_id == record.key.command_id

    async def test_another_hash_is_refused_before_the_version_is_looked_at(
        self, store: EventStore
    ) -> None:
        record = command(b"what was sent first")
        await settle(store, add(to("order-1", expecting=0), record=record))
        async with refused(store, CommandIdReused):
            other = replace(record, hash=b"other")
            await settle(store, add(to("order-1", expecting=0), record=other))

    async def test_twins_at_once_take_effect_once(self, store: EventStore) -> None:
        append = add(to("order-1", expecting=0))
        answers = await at_once(*(settle(store, append) for _ in range(16)))
        assert {(answer.point, answer.streams) for answer in outcomes(answers)} == {
            (await store.head(), (StreamVersion("order-1", 1),))
        }
        assert len(outcomes(answers)) == 16
        assert sum(not answer.repeated for answer in outcomes(answers)) <= 1
        assert len(await log_of(store)) == 1

    async def test_of_twins_with_other_hashes_at_once_one_takes_effect(
        self, store: EventStore
    ) -> None:
        records = [replace(command(command_id=_ID), hash=bytes([n])) for n in range(8)]
        appends = [add(to("order-1"), record=record) for record in records]
        answers = await at_once(*(settle(store, append) for append in appends))
        assert len(outcomes(answers)) == 1
        assert sum(isinstance(answer, CommandIdReused) for answer in answers) == 7
        assert len(await log_of(store)) == 1

    async def test_a_command_that_did_nothing_is_remembered(self, store: EventStore) -> None:
        head = (await settle(store, add(to("order-1")))).point
        record = command(streams=(StreamVersion("order-1", 1), StreamVersion("order-2", 0)))
        first = await settle(store, Append((), command=record))
        assert (first.point, first.streams) == (head, record.streams)
        await settle(store, add(to("order-1")))
        assert await settle(store, Append((), command=record)) == replace(first, repeated=True)

    async def test_a_record_of_nothing_writes_no_event(self, store: EventStore) -> None:
        head = (await settle(store, add(to("order-1")))).point
        await settle(store, Append((), command=command()))
        assert await store.head() == head
        assert len(await log_of(store)) == 1

    async def test_a_command_that_did_nothing_still_does_nothing_when_repeated_with_events(
        self, store: EventStore
    ) -> None:
        record = command()
        await settle(store, Append((), command=record))
        again = await settle(store, add(to("order-1"), record=record))
        assert again.repeated
        assert await log_of(store) == []

    async def test_a_command_that_did_nothing_refuses_another_hash(self, store: EventStore) -> None:
        record = command(b"what was sent first")
        await settle(store, Append((), command=record))
        async with refused(store, CommandIdReused):
            await settle(store, add(to("order-1"), record=replace(record, hash=b"other")))

    async def test_a_refused_append_leaves_no_record(self, store: EventStore) -> None:
        record = command()
        async with refused(store, ConcurrencyError):
            await settle(store, add(to("order-1", expecting=5), record=record))
        assert await store.find(record.key) is None
        outcome = await settle(store, add(to("order-1"), record=replace(record, hash=b"other")))
        assert outcome.streams == (StreamVersion("order-1", 1),)

    async def test_tenants_do_not_share_command_ids(self, store: EventStore) -> None:
        for tenant in ("", "north", "south"):
            record = command(tenant.encode(), tenant=tenant, command_id=_ID)
            await settle(store, add(to("order-1", expecting=0), record=record, tenant=tenant))
        assert [event.tenant for event in await log_of(store)] == ["", "north", "south"]

    async def test_principals_do_not_share_command_ids(self, store: EventStore) -> None:
        for version, principal in enumerate(("", "ann", "bob")):
            record = command(principal.encode(), principal=principal, command_id=_ID)
            await settle(store, add(to("order-1", expecting=version), record=record))
        assert (await load(store, "order-1")).version == 3

    async def test_a_command_is_found_with_its_hash_and_outcome(self, store: EventStore) -> None:
        record = command(b"\x00\xff digest")
        outcome = await settle(store, add(to("a-1"), to("b-1"), record=record))
        await settle(store, add(to("a-1")))
        assert _plain(await store.find(record.key)) == RecordedCommand(record.hash, _new(outcome))

    async def test_a_command_that_did_nothing_is_found(self, store: EventStore) -> None:
        record = command(streams=(StreamVersion("order-1", 0),))
        outcome = await settle(store, Append((), command=record))
        assert _plain(await store.find(record.key)) == RecordedCommand(record.hash, _new(outcome))

    async def test_a_command_is_found_under_its_own_key_only(self, store: EventStore) -> None:
        record = command(tenant="north", principal="ann")
        await settle(store, add(to("order-1"), record=record, tenant="north"))
        for key in (
            record.key._replace(tenant=""),
            record.key._replace(principal=""),
            record.key._replace(command_id=uuid4()),
        ):
            assert await store.find(key) is None
        assert await store.find(record.key) is not None

    async def test_a_load_tells_what_became_of_a_command(self, store: EventStore) -> None:
        record = command()
        asked = Load("order-1", command=record.key)
        assert (await store.load(asked)).command is None
        outcome = await settle(store, add(to("a-1"), record=record))
        found = (await store.load(asked)).command
        assert _plain(found) == RecordedCommand(record.hash, _new(outcome))
        unknown = CommandKey("", "", uuid4())
        assert (await store.load(Load("a-1", command=unknown))).command is None


_ID = uuid4()


def _new(outcome: Appended) -> Appended:
    return replace(outcome, repeated=False)


def _plain(found: RecordedCommand | None) -> RecordedCommand | None:
    """`found` without the mark: whether a record that is looked up is a repeat is left open."""
    return found and replace(found, outcome=_new(found.outcome))
