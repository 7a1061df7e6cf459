"""Races: writers against writers, against conditions, and against those who read meanwhile."""

import asyncio
import random
from functools import partial
from itertools import count, pairwise

from diptych.errors import ConcurrencyError, ConditionFailed
from diptych.messages import RecordedEvent
from diptych.store.contract import START, Criterion, EventStore, Load, category_of
from diptych.store.subscription import follow
from diptych.testing.conformance.steps import (
    Suite,
    about,
    add,
    at_once,
    deadline,
    happened,
    load,
    log_of,
    outcomes,
    settle,
    to,
    turns,
    unless,
    until,
)

_ROUNDS = 8


class RaceConformance(Suite):
    async def test_of_racers_on_one_version_exactly_one_wins(self, store: EventStore) -> None:
        for version in range(_ROUNDS):
            racers = (settle(store, add(to("order-1", expecting=version))) for _ in range(16))
            answers = await at_once(*racers)
            assert len(outcomes(answers)) == 1
            assert sum(isinstance(answer, ConcurrencyError) for answer in answers) == 15
        assert (await load(store, "order-1")).version == _ROUNDS

    async def test_of_racers_on_one_condition_exactly_one_wins(self, store: EventStore) -> None:
        for seat in range(_ROUNDS):
            tags = (f"seat:{seat}",)
            condition = unless(about("Booked", tags=tags), after=await store.head())
            appends = [
                add(to(f"booking-{seat}x{n}", happened("Booked", tags=tags)), condition=condition)
                for n in range(16)
            ]
            answers = await at_once(*(settle(store, append) for append in appends))
            assert len(outcomes(answers)) == 1
            assert sum(isinstance(answer, ConditionFailed) for answer in answers) == 15

    async def test_racers_over_the_same_streams_in_other_orders_all_finish(
        self, store: EventStore
    ) -> None:
        appends = [add(*map(to, ("a-1", "b-1", "c-1")[:: 1 if n % 2 else -1])) for n in range(24)]
        answers = await at_once(*(settle(store, append) for append in appends))
        assert len(outcomes(answers)) == 24
        assert (await load(store, "b-1")).version == 24

    async def test_no_follower_misses_an_event_while_many_write(self, store: EventStore) -> None:
        followers = [
            _Follower(store),
            _Follower(store, limit=1),
            _Follower(store, categories=frozenset({"a", "c"})),
            _Follower(store, criteria=(about("Even"), about(tags=("third:0",))), limit=2),
            _Follower(store, tenant="north", limit=3),
            _Follower(store, categories=frozenset({"b", "d"}), criteria=(about("Odd"),)),
        ]
        running = [asyncio.create_task(follower.run()) for follower in followers]
        await at_once(*(_writes(store, writer, 12) for writer in range(12)))
        log = await log_of(store)
        for follower in followers:
            await until(partial(follower.is_at, log[-1].position))
            assert follower.seen == [event for event in log if follower.wants(event)]
        for task in running:
            task.cancel()
        assert len(log) == 12 * 12 * 2

    async def test_an_append_that_was_answered_before_another_began_comes_before_it(
        self, store: EventStore
    ) -> None:
        moments = count()
        history: list[tuple[int, int, int]] = []

        async def client(number: int) -> None:
            dice = random.Random(number)  # noqa: S311 - makes a schedule, guards nothing
            for _ in range(12):
                await turns(dice.randrange(6))
                begun = next(moments)
                outcome = await settle(store, add(to(f"a-{number}")))
                history.append((begun, next(moments), outcome.point.position))

        await at_once(*map(client, range(10)))
        assert len({position for _, _, position in history}) == 120
        for begun, _, position in history:
            earlier = (at for _, answered, at in history if answered < begun)
            assert max(earlier, default=0) < position

    async def test_no_reader_sees_half_of_an_append(self, store: EventStore) -> None:
        heads: set[int] = set()
        writing = asyncio.gather(*(_writes(store, writer, 12) for writer in range(8)))
        async with deadline():
            while not writing.done():
                page = await store.read()
                heads |= {page.head, (await store.head()).position}
                await turns(1)
                if page.scanned.position == page.head:
                    appends = [event.data for event in page.events]
                    assert all(appends.count(data) == 2 for data in set(appends))
            await writing
        ends = {event.data: event.position for event in await log_of(store)}
        assert heads <= {0, *ends.values()}

    async def test_a_load_agrees_with_itself_while_others_append(self, store: EventStore) -> None:
        writing = asyncio.gather(*(_append_pairs(store, rounds=15) for _ in range(4)))
        async with deadline():
            while not writing.done():
                loaded = await load(store, "order-1", after=1)
                await turns(1)
                assert len(loaded.events) == max(0, loaded.version - 1)
                assert loaded.version % 2 == 0
                last = loaded.events[-1] if loaded.events else None
                assert loaded.point == ((last.position, last.event_id) if last else START)
            await writing

    async def test_a_load_that_does_not_find_a_command_has_none_of_its_events(
        self, store: EventStore
    ) -> None:
        for version in range(40):
            append = add(to("order-1", expecting=version))
            assert append.command is not None
            appending = asyncio.create_task(settle(store, append))
            await turns(version % 5)
            loaded = await store.load(Load("order-1", command=append.command.key))
            await appending
            assert loaded.version == version + (loaded.command is not None)

    async def test_versions_have_no_holes_and_grow_with_positions_after_a_race(
        self, store: EventStore
    ) -> None:
        await at_once(*(_writes(store, writer, 8) for writer in range(10)))
        log = await log_of(store)
        streams = {(event.tenant, event.stream) for event in log}
        for stream in streams:
            versions = [event.version for event in log if (event.tenant, event.stream) == stream]
            assert versions == [*range(1, len(versions) + 1)]
        assert all(earlier.position < later.position for earlier, later in pairwise(log))


class _Follower:
    """Follows the log for ever and keeps what it sees."""

    def __init__(
        self,
        store: EventStore,
        *,
        limit: int = 1000,
        categories: frozenset[str] | None = None,
        criteria: tuple[Criterion, ...] | None = None,
        tenant: str | None = None,
    ) -> None:
        self._store, self._limit = store, limit
        self._categories, self._criteria, self._tenant = categories, criteria, tenant
        self.seen: list[RecordedEvent] = []
        self.reached = 0

    async def run(self) -> None:
        async for page in follow(
            self._store,
            limit=self._limit,
            categories=self._categories,
            criteria=self._criteria,
            tenant=self._tenant,
        ):
            self.seen.extend(page.events)
            self.reached = page.scanned.position

    def is_at(self, position: int) -> bool:
        return self.reached >= position

    def wants(self, event: RecordedEvent) -> bool:
        criteria = self._criteria
        return (
            (self._categories is None or category_of(event.stream) in self._categories)
            and (self._tenant is None or event.tenant == self._tenant)
            and (criteria is None or any(c.matches(event.type, event.tags) for c in criteria))
        )


async def _append_pairs(store: EventStore, *, rounds: int) -> None:
    for _ in range(rounds):
        await settle(store, add(to("order-1", happened(), happened())))


async def _writes(store: EventStore, writer: int, rounds: int) -> None:
    """Append to an own and a shared stream, again and again, with pauses of random length."""
    dice = random.Random(writer)  # noqa: S311 - makes a schedule, guards nothing
    tenant = "north" if writer % 3 else ""
    for n in range(rounds):
        await turns(dice.randrange(8))
        mark = b'{"append":"%d.%d"}' % (writer, n)
        own = happened("Even" if n % 2 else "Odd", mark, tags=(f"third:{n % 3}",))
        shared = happened("Shared", mark)
        await settle(
            store,
            add(to(f"{'abcd'[writer % 4]}-{writer}", own), to("shared-1", shared), tenant=tenant),
        )
