"""The batcher: everyone is answered, whatever is cancelled, raised or closed."""

import asyncio
from collections.abc import Sequence

import pytest

from diptych.errors import OutcomeUnknown, Overloaded, StoreClosed
from diptych.store.batching import Batcher
from diptych.testing import wait_until


class Recorder:
    """A `run` that answers each item with itself, in calls that the test lets through."""

    def __init__(self, *, open_gate: bool = True) -> None:
        self.calls: list[list[int]] = []
        self.gate = asyncio.Event()
        if open_gate:
            self.gate.set()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.calls.append(list(items))
        await self.gate.wait()
        return list(items)


async def started(recorder: Recorder) -> None:
    await wait_until(lambda: bool(recorder.calls))


async def test_a_lone_item_goes_at_once() -> None:
    recorder = Recorder()
    assert await Batcher(recorder).submit(7) == 7
    assert recorder.calls == [[7]]


async def test_what_arrives_during_a_call_goes_together_into_the_next() -> None:
    recorder = Recorder(open_gate=False)
    batcher = Batcher(recorder)
    first = asyncio.ensure_future(batcher.submit(0))
    await started(recorder)
    rest = [asyncio.ensure_future(batcher.submit(n)) for n in range(1, 6)]
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await asyncio.gather(first, *rest) == [0, 1, 2, 3, 4, 5]
    assert recorder.calls == [[0], [1, 2, 3, 4, 5]]


async def test_answers_that_are_there_at_once_need_no_second_call() -> None:
    calls: list[list[int]] = []

    def run(items: Sequence[int]) -> Sequence[int | Exception]:
        calls.append(list(items))
        return [n * 2 for n in items]

    batcher: Batcher[int, int] = Batcher(run)
    assert await asyncio.gather(*(batcher.submit(n) for n in range(100))) == [
        n * 2 for n in range(100)
    ]
    assert calls == [list(range(100))]


async def test_a_batch_is_bounded_in_items_and_weight() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder, max_items=3, max_weight=10)
    await asyncio.gather(*(batcher.submit(n, weight=n) for n in [1, 1, 1, 1, 9, 20, 4, 4, 4]))
    assert recorder.calls == [[1, 1, 1], [1, 9], [20], [4, 4], [4]]


async def test_an_exception_as_an_answer_belongs_to_its_item_alone() -> None:
    def run(items: Sequence[int]) -> Sequence[int | Exception]:
        return [ValueError(str(n)) if n == 2 else n for n in items]

    batcher: Batcher[int, int] = Batcher(run)
    answers = await asyncio.gather(*map(batcher.submit, range(4)), return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, int)] == [0, 1, 3]
    assert isinstance(answers[2], ValueError)


@pytest.mark.parametrize("inline", [True, False])
async def test_a_call_that_raises_answers_everyone_and_the_next_goes_on(inline: bool) -> None:
    broken = True

    def run_inline(items: Sequence[int]) -> Sequence[int | Exception]:
        if broken:
            raise OSError("gone")
        return list(items)

    async def run_later(items: Sequence[int]) -> Sequence[int | Exception]:
        return run_inline(items)

    batcher: Batcher[int, int] = Batcher(
        run_inline if inline else run_later, failed=lambda _: OutcomeUnknown()
    )
    answers = await asyncio.gather(*map(batcher.submit, range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 3
    broken = False
    assert await batcher.submit(1) == 1


async def test_a_wrong_number_of_answers_is_a_failure_of_all() -> None:
    batcher: Batcher[int, int] = Batcher(lambda _: [1], failed=lambda _: OutcomeUnknown())
    answers = await asyncio.gather(*map(batcher.submit, range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 3


async def test_a_cancelled_waiter_takes_nobody_with_it() -> None:
    recorder = Recorder(open_gate=False)
    batcher = Batcher(recorder)
    tasks = [asyncio.ensure_future(batcher.submit(n)) for n in range(3)]
    await started(recorder)
    tasks[1].cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answers[0], answers[2]] == [0, 2]
    assert isinstance(answers[1], asyncio.CancelledError)
    assert recorder.calls == [[0, 1, 2]]


async def test_who_gave_up_before_the_batch_was_taken_is_left_out() -> None:
    recorder = Recorder(open_gate=False)
    batcher = Batcher(recorder)
    first = asyncio.ensure_future(batcher.submit(0))
    await started(recorder)
    waiting = [asyncio.ensure_future(batcher.submit(n)) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    await asyncio.gather(first, *waiting, return_exceptions=True)
    assert recorder.calls == [[0], [1, 3]]


async def test_a_call_that_is_cancelled_answers_everyone_and_the_next_goes_on() -> None:
    recorder = Recorder(open_gate=False)
    batcher = Batcher(recorder, failed=lambda _: OutcomeUnknown())
    before = asyncio.all_tasks()
    waiters = [asyncio.ensure_future(batcher.submit(n)) for n in range(3)]
    await started(recorder)
    for task in asyncio.all_tasks() - before:
        task.cancel()
    late = asyncio.ensure_future(batcher.submit(9))
    recorder.gate.set()
    async with asyncio.timeout(2):
        answers = await asyncio.gather(*waiters, late, return_exceptions=True)
    assert [type(answer) for answer in answers[:3]] == [OutcomeUnknown] * 3
    assert answers[3] == 9


async def test_the_loop_has_a_turn_between_batches_that_are_answered_on_the_spot() -> None:
    turns: list[int] = []
    batcher: Batcher[int, int] = Batcher(list, max_items=1)
    loop = asyncio.get_running_loop()
    for n in range(3):
        batcher.submit(n).add_done_callback(lambda _: turns.append(0))
    loop.call_soon(turns.append, 1)
    await batcher.close()
    assert turns.index(1) < len(turns) - 1


async def test_more_than_may_wait_are_refused_and_nothing_else_suffers() -> None:
    recorder = Recorder(open_gate=False)
    batcher = Batcher(recorder, max_waiting=2)
    tasks = [asyncio.ensure_future(batcher.submit(0))]
    await started(recorder)
    tasks += [asyncio.ensure_future(batcher.submit(n)) for n in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await batcher.submit(3)
    assert (refused.value.waiting, refused.value.limit) == (2, 2)
    recorder.gate.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2]


async def test_close_answers_what_was_accepted_and_refuses_the_rest() -> None:
    recorder = Recorder(open_gate=False)
    batcher = Batcher(recorder)
    tasks = [asyncio.ensure_future(batcher.submit(n)) for n in range(3)]
    await started(recorder)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreClosed):
        await batcher.submit(4)
    assert not closing.done()
    recorder.gate.set()
    async with asyncio.timeout(2):
        await closing
    assert await asyncio.gather(*tasks) == [0, 1, 2]


async def test_a_storm_of_cancellations_loses_no_answer() -> None:
    async def run(items: Sequence[int]) -> Sequence[int | Exception]:
        await asyncio.sleep(0)
        return list(items)

    batcher: Batcher[int, int] = Batcher(run, max_items=7)
    tasks = [asyncio.ensure_future(batcher.submit(n)) for n in range(500)]
    for turn in range(60):
        await asyncio.sleep(0)
        tasks[(turn * 37) % 500].cancel()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    for n, answer in enumerate(answers):
        assert answer == n or isinstance(answer, asyncio.CancelledError)
    assert sum(isinstance(answer, int) for answer in answers) >= 440


async def sizes_of_batches(
    monkeypatch: pytest.MonkeyPatch, *, call: float, coming_back: float
) -> list[int]:
    """Of eight in a closed loop, whose calls and whose way back take that many seconds."""
    sizes: list[int] = []
    now = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)

    async def run(items: Sequence[int]) -> Sequence[int | Exception]:
        nonlocal now
        sizes.append(len(items))
        await asyncio.sleep(0)
        now += call
        return list(items)

    batcher: Batcher[int, int] = Batcher(run)

    async def work(number: int) -> None:
        nonlocal now
        for _ in range(12):
            await batcher.submit(number)
            now += coming_back

    await asyncio.gather(*map(work, range(8)))
    return sizes


async def test_while_coming_back_takes_longer_than_a_call_half_of_all_are_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = await sizes_of_batches(monkeypatch, call=0.001, coming_back=0.001)
    assert sizes[0] == 8
    assert max(sizes[2:]) < 8


async def test_while_a_call_takes_longer_all_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = await sizes_of_batches(monkeypatch, call=0.05, coming_back=0.0001)
    assert sizes == [8] * 12
