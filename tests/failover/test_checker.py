"""The checker's own exam: it lets a true history pass, and finds every kind of damage."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from msgspec.structs import replace

from diptych.errors import CommandIdReused, OutcomeUnknown, StorageFull
from diptych.messages import RecordedEvent
from diptych.store.contract import START, StreamVersion
from diptych.store.memory import Hostile, MemoryEventStore
from diptych.testing.conformance.steps import log_of, opened
from tests.failover.history import Asked, HistoryViolated, demand, findings, lost
from tests.failover.load import following, loading

History = list[Asked]
Log = list[RecordedEvent]
UNSURE = Hostile(seed=3, stride=1, late_visibility=0, unknown_outcomes=0.2)


@pytest.fixture
async def store() -> AsyncIterator[MemoryEventStore]:
    async with opened(MemoryEventStore(hostile=UNSURE)) as store:
        assert isinstance(store, MemoryEventStore)
        yield store


@pytest.fixture
async def history(store: MemoryEventStore) -> History:
    async with loading(store, clients=8) as load:
        await load.more(40)
    return load.history


async def test_a_true_history_passes_with_lost_answers_in_it(
    store: MemoryEventStore, history: History
) -> None:
    log = await log_of(store)
    demand(history, log)
    assert any(asked.may_be_there for asked in history)
    assert lost(history, log) == 0


async def test_what_was_left_open_is_there_once_when_it_is_asked_for_again(
    store: MemoryEventStore,
) -> None:
    async with following(store) as follower:
        async with loading(store, clients=8) as load:
            await load.more(40)
        await load.settle(store)
        log = await log_of(store)
        await follower.at(len(log))
    demand(load.history, log)
    assert all(asked.acknowledged for asked in load.history)
    assert follower.seen == log


def renumbered(log: Log) -> Log:
    return [event._replace(position=place) for place, event in enumerate(log, 1)]


def acknowledged(history: History) -> Asked:
    """One in the middle, so that there are some before it and after it."""
    answered = [asked for asked in history if asked.acknowledged]
    return answered[len(answered) // 2]


def without(history: History, log: Log) -> None:
    gone = acknowledged(history).ids
    log[:] = renumbered([event for event in log if event.event_id not in gone])


def without_one_event(history: History, log: Log) -> None:
    gone = acknowledged(history).ids[0]
    log[:] = renumbered([event for event in log if event.event_id != gone])


def twice(history: History, log: Log) -> None:
    ids = acknowledged(history).ids
    again = [event for event in log if event.event_id in ids]
    log[:] = renumbered([*log, *again])


def with_a_hole(history: History, log: Log) -> None:
    log[3:] = [event._replace(position=event.position + 1) for event in log[3:]]


def with_a_version_missing(history: History, log: Log) -> None:
    log[-1] = log[-1]._replace(version=log[-1].version + 1)


def with_other_data(history: History, log: Log) -> None:
    log[0] = log[0]._replace(data=b'{"amount":1000}')


def in_another_order(history: History, log: Log) -> None:
    ids = acknowledged(history).ids
    mine = [event for event in log if event.event_id in ids]
    log[:] = renumbered([*(event for event in log if event.event_id not in ids), *mine])


def with_a_stranger(history: History, log: Log) -> None:
    version = sum(event.stream == log[-1].stream for event in log) + 1
    log.append(log[-1]._replace(event_id=uuid4(), position=len(log) + 1, version=version))


def with_time_running_backwards(history: History, log: Log) -> None:
    log[5] = log[5]._replace(recorded_at=log[5].recorded_at - timedelta(hours=1))


def with_a_refused_append(history: History, log: Log) -> None:
    asked = acknowledged(history)
    asked.acknowledged, asked.errors = None, [StorageFull("disk")]


def told_another_position(history: History, log: Log) -> None:
    asked = acknowledged(history)
    assert asked.acknowledged is not None
    asked.acknowledged = replace(asked.acknowledged, point=START)


def told_another_version(history: History, log: Log) -> None:
    asked = acknowledged(history)
    assert asked.acknowledged is not None
    first, *others = asked.acknowledged.streams
    wrong = StreamVersion(first.stream, first.version + 1)
    asked.acknowledged = replace(asked.acknowledged, streams=(wrong, *others))


def answered_before_it_was_asked(history: History, log: Log) -> None:
    """As if the first had begun after the last was acknowledged: then it must stand behind it."""
    first = next(asked for asked in history if asked.acknowledged)
    first.began = first.ended = 1 + max(asked.ended for asked in history)


def with_another_kind_of_error(history: History, log: Log) -> None:
    acknowledged(history).errors.append(CommandIdReused(uuid4()))


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (without, "acknowledged and is not there"),
        (without_one_event, "in part, or more than once"),
        (twice, "in part, or more than once"),
        (with_a_hole, "is the log's event number"),
        (with_a_version_missing, "has version"),
        (with_other_data, "not there as it was given"),
        (in_another_order, "answered with another position"),
        (with_a_stranger, "nobody asked for"),
        (with_time_running_backwards, "time runs backwards"),
        (with_a_refused_append, "was refused and is there"),
        (told_another_position, "answered with another position"),
        (told_another_version, "answered with other versions"),
        (answered_before_it_was_asked, "acknowledged before it began"),
        (with_another_kind_of_error, "met CommandIdReused"),
    ],
)
async def test_damage_is_found(
    store: MemoryEventStore,
    history: History,
    damage: Callable[[History, Log], None],
    finding: str,
) -> None:
    log = await log_of(store)
    damage(history, log)
    assert any(finding in each for each in findings(history, log))
    with pytest.raises(HistoryViolated):
        demand(history, log)


async def test_an_append_that_is_open_may_be_missing(
    store: MemoryEventStore, history: History
) -> None:
    log = await log_of(store)
    last = next(asked for asked in reversed(history) if asked.ids[-1] == log[-1].event_id)
    last.acknowledged, last.errors = None, [OutcomeUnknown()]
    demand(history, log)
    demand(history, log[: -len(last.ids)])
