"""Group commit: what one member does wrong stays with it; what nobody knows is said."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from diptych.errors import (
    ConcurrencyError,
    InvalidInput,
    OutcomeUnknown,
    StorageBusy,
    StorageFull,
    StoreError,
)
from diptych.messages import EventData
from diptych.store.contract import (
    ANY_VERSION,
    Append,
    Appended,
    CommandKey,
    CommandRecord,
    Point,
    Write,
)
from diptych.store.group_commit import GroupCommit


def append(stream: str, *, size: int = 10, command: UUID | None = None) -> Append:
    event = EventData("Happened", b"x" * size, uuid4())
    record = CommandRecord(CommandKey("", "", command)) if command else None
    return Append((Write(stream, (event,), ANY_VERSION),), command=record)


def done(position: int) -> Appended:
    return Appended(Point(position), ())


class Backend:
    """Commits in memory; streams named in `trouble` make the whole transaction fail."""

    def __init__(self, trouble: dict[str, Exception] | None = None) -> None:
        self.batches: list[list[str]] = []
        self.trouble = trouble or {}

    async def __call__(self, batch: Sequence[Append]) -> Sequence[Appended | Exception]:
        streams = [member.writes[0].stream for member in batch]
        self.batches.append(streams)
        await asyncio.sleep(0)
        for stream in streams:
            if error := self.trouble.get(stream):
                raise error
        return [done(number) for number, _ in enumerate(streams, 1)]


async def answers_of(group: GroupCommit, *appends: Append) -> list[object]:
    return list(await asyncio.gather(*map(group.append, appends), return_exceptions=True))


async def test_a_refused_member_does_not_touch_its_neighbours() -> None:
    def commit(batch: Sequence[Append]) -> Sequence[Appended | Exception]:
        conflict = ConcurrencyError("b-1", expected=0, actual=3)
        return [
            conflict if member.writes[0].stream == "b-1" else done(position)
            for position, member in enumerate(batch, 1)
        ]

    group = GroupCommit(commit)
    first, second, third = await answers_of(group, append("a-1"), append("b-1"), append("c-1"))
    assert isinstance(second, ConcurrencyError)
    assert (first, third) == (done(1), done(3))


async def test_after_a_rollback_the_members_are_tried_alone() -> None:
    backend = Backend({"big-1": StorageFull("no room")})
    group = GroupCommit(backend)
    answers = await answers_of(group, append("a-1"), append("big-1"), append("c-1"))
    assert backend.batches == [["a-1", "big-1", "c-1"], ["a-1"], ["big-1"], ["c-1"]]
    assert [type(answer) for answer in answers] == [Appended, StorageFull, Appended]


async def test_a_trouble_that_no_member_caused_is_not_tried_for_each() -> None:
    backend = Backend({"a-1": StorageBusy("locked")})
    answers = await answers_of(GroupCommit(backend), append("a-1"), append("b-1"))
    assert len(backend.batches) == 1
    assert [type(answer) for answer in answers] == [StorageBusy, StorageBusy]


@pytest.mark.parametrize("error", [OutcomeUnknown(), ConnectionResetError("cut"), KeyError("bug")])
async def test_what_nobody_knows_is_unknown_for_all_and_never_tried_again(error: Exception) -> None:
    backend = Backend({"b-1": error})
    command = uuid4()
    answers = await answers_of(GroupCommit(backend), append("a-1", command=command), append("b-1"))
    assert len(backend.batches) == 1
    assert all(isinstance(answer, OutcomeUnknown) for answer in answers)
    assert isinstance(answers[0], OutcomeUnknown)
    assert answers[0].command_id == command
    assert answers[0].__cause__ is error


async def test_a_commit_that_runs_on_the_spot_is_treated_alike() -> None:
    attempts: list[int] = []

    def commit(batch: Sequence[Append]) -> Sequence[Appended | Exception]:
        attempts.append(len(batch))
        if len(batch) > 1:
            raise StoreError("rolled back")
        return [done(len(attempts))]

    answers = await answers_of(GroupCommit(commit), append("a-1"), append("b-1"))
    assert attempts == [2, 1, 1]
    assert all(isinstance(answer, Appended) for answer in answers)


async def test_what_no_store_accepts_is_refused_before_it_is_queued() -> None:
    backend = Backend()
    with pytest.raises(InvalidInput) as refused:
        await GroupCommit(backend).append(append(""))
    assert refused.value.field == "stream"
    assert backend.batches == []


async def test_batches_are_bounded_in_bytes() -> None:
    backend = Backend()
    group = GroupCommit(backend, max_bytes=100)
    await answers_of(group, *(append(f"a-{n}", size=40) for n in range(5)))
    assert [len(batch) for batch in backend.batches] == [2, 2, 1]
