"""Many appends at once: each gets its own answer, and none suffers for its neighbours."""

import asyncio

from msgspec.structs import replace

from diptych.errors import (
    CommandIdReused,
    ConcurrencyError,
    ConditionFailed,
    InvalidInput,
    LimitExceeded,
)
from diptych.store.contract import Append, EventStore, StreamVersion
from diptych.store.limits import MAX_EVENT_BYTES
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
    settle,
    to,
    turns,
    unless,
    until,
)


class BurstConformance(Suite):
    async def test_bad_members_of_a_burst_fail_alone(self, store: EventStore) -> None:
        taken = add(to("taken-1", happened("Taken")))
        await settle(store, taken)
        good = [add(to(f"good-{n}", happened("Good"), expecting=0)) for n in range(57)]
        bad = _bad_members(taken)
        burst = [append for n, append in enumerate(good) for append in (append, *bad[n : n + 1])]
        answers = await at_once(*(settle(store, append) for append in burst))
        given = dict(zip(map(id, burst), answers, strict=True))
        assert [type(given[id(append)]) for append in bad] == _BAD_ENDS
        assert len(outcomes(given[id(append)] for append in good)) == len(good)
        streams = sorted(event.stream for event in await log_of(store))
        assert streams == sorted(["taken-1", *(f"good-{n}" for n in range(57))])

    async def test_appends_at_once_to_one_stream_are_each_told_their_own_version(
        self, store: EventStore
    ) -> None:
        appends = [add(to("order-1"), to(f"own-{n}")) for n in range(48)]
        answers = outcomes(await at_once(*(settle(store, append) for append in appends)))
        assert len(answers) == 48
        assert sorted(answer.streams[0].version for answer in answers) == [*range(1, 49)]
        log = {event.position: event for event in await log_of(store)}
        for n, answer in enumerate(answers):
            event = log[answer.point.position]
            assert (event.stream, event.event_id) == (f"own-{n}", answer.point.event_id)
            assert answer.streams[1] == StreamVersion(f"own-{n}", 1)

    async def test_big_appends_at_once_are_all_there(self, store: EventStore) -> None:
        big = happened(data=b'"%s"' % (b"x" * 900_000))
        await at_once(*(settle(store, add(to(f"order-{n}", big))) for n in range(12)))
        assert len(await log_of(store)) == 12

    async def test_a_waiter_that_is_cancelled_does_not_take_its_append_back(
        self, store: EventStore
    ) -> None:
        append = add(to("order-1", happened(), happened()))
        waiting = asyncio.create_task(settle(store, append))
        await turns(12)
        waiting.cancel()
        await asyncio.wait([waiting])
        await until(lambda: _recorded(store, append))
        assert (await load(store, "order-1")).version == 2

    async def test_a_waiter_that_is_cancelled_takes_nobody_with_it(self, store: EventStore) -> None:
        for patience in range(6):
            appends = [add(to(f"a{patience}-{n}")) for n in range(16)]
            waiting = [asyncio.create_task(settle(store, append)) for append in appends]
            await turns(patience)
            for task in waiting[::2]:
                task.cancel()
            assert len(outcomes(await at_once(*waiting[1::2]))) == 8

    async def test_a_cancelled_append_takes_effect_once_when_it_is_asked_for_again(
        self, store: EventStore
    ) -> None:
        for patience in range(6):
            append = add(to(f"a-{patience}", happened(), happened(), expecting=0))
            waiting = asyncio.create_task(settle(store, append))
            await turns(patience)
            waiting.cancel()
            outcome = await settle(store, append)
            assert outcome.streams == (StreamVersion(f"a-{patience}", 2),)
            assert (await load(store, f"a-{patience}")).version == 2


_BAD_ENDS: list[type[Exception]] = [
    ConcurrencyError,
    ConcurrencyError,
    ConditionFailed,
    CommandIdReused,
    LimitExceeded,
    InvalidInput,
    ConcurrencyError,
]


def _bad_members(taken: Append) -> list[Append]:
    assert taken.command is not None
    return [
        add(to("taken-1", expecting=0)),
        add(to("new-1", expecting=0), to("taken-1", expecting=5)),
        add(to("new-2"), condition=unless(about("Taken"))),
        add(to("new-3"), record=replace(taken.command, hash=b"other")),
        add(to("new-4", happened(data=b"x" * (MAX_EVENT_BYTES + 1)))),
        add(to("new-5", happened("with \x00"))),
        add(to("taken-1", expecting=9), record=command()),
    ]


async def _recorded(store: EventStore, append: Append) -> bool:
    assert append.command is not None
    return await store.find(append.command.key) is not None
