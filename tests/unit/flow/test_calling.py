"""A call of somebody else's code: how it ends, and that nobody waits for one that does not."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from diptych.flow import calling
from diptych.flow.calling import GoesOn, called

SHORT, LONG = timedelta(milliseconds=5), timedelta(seconds=10)

Errors = list[dict[str, object]]


class Refused(Exception):
    pass


@pytest.fixture
async def complaints() -> Errors:
    """What asyncio complains of."""
    found: Errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: found.append(said))
    return found


async def wait() -> None:
    await asyncio.Event().wait()


async def refuse() -> None:
    raise Refused


async def refuse_when_cancelled() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise Refused


async def finish_when_cancelled() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def test_what_is_done_in_time_is_done() -> None:
    await called(asyncio.sleep(0), LONG)


async def test_what_it_raises_is_raised() -> None:
    with pytest.raises(Refused):
        await called(refuse(), LONG)


@pytest.mark.parametrize(
    ("call", "error"), [(wait, TimeoutError), (refuse_when_cancelled, Refused)]
)
async def test_what_takes_too_long_has_failed(
    call: Callable[[], Awaitable[None]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await called(call(), SHORT)


async def test_what_is_brought_to_its_end_when_it_is_cancelled_is_done() -> None:
    await called(finish_when_cancelled(), SHORT)


async def test_what_does_not_end_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, complaints: Errors
) -> None:
    monkeypatch.setattr(calling, "_LONGEST_CANCEL", 0.005)
    over = asyncio.Event()

    async def go_on() -> None:
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await over.wait()
        raise Refused

    with pytest.raises(GoesOn):
        await called(go_on(), SHORT)
    over.set()
    await _settled()
    assert complaints == []


async def test_who_is_cancelled_cancels_the_call_and_waits_for_its_end(complaints: Errors) -> None:
    task = asyncio.create_task(called(refuse_when_cancelled(), LONG))
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await _settled()
    assert complaints == []


async def _settled() -> None:
    """All that has ended is collected: only then is it said that nobody asked."""
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
