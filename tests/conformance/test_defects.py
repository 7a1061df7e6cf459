"""The suite is examined: each seeded defect turns its tests red, and each test is turned red."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import chain

import pytest

from diptych.errors import DiptychError
from diptych.store.contract import START
from diptych.store.cursors import cursors_of
from diptych.testing.conformance import (
    CursorConformance,
    DurableConformance,
    EventStoreConformance,
    SharedConformance,
    SharedCursorConformance,
    steps,
)
from tests.conformance.defects import (
    appending,
    commands,
    conditions,
    crowding,
    cursors,
    keeping,
    loading,
    parking,
    points,
    reading,
    snapshots,
    waiting,
)
from tests.conformance.defects.opening import Disk, Opening

_MODULES = (
    appending,
    commands,
    conditions,
    crowding,
    cursors,
    keeping,
    loading,
    parking,
    points,
    reading,
    snapshots,
    waiting,
)
_RED = AssertionError, pytest.fail.Exception, DiptychError, asyncio.CancelledError


class Everything(
    EventStoreConformance,
    DurableConformance,
    SharedConformance,
    CursorConformance,
    SharedCursorConformance,
):
    __test__ = False


_TESTS = sorted(name for name in dir(Everything) if name.startswith("test_"))


def _defects() -> Iterator[type[Opening]]:
    for found in chain.from_iterable(vars(module).values() for module in _MODULES):
        if isinstance(found, type) and issubclass(found, Opening) and found.fails:
            yield found


_DEFECTS = sorted(set(_defects()), key=lambda defect: defect.__name__)


async def _run(name: str, store: type[Opening]) -> None:
    """Run one test of the suite as pytest does, with a new disk."""
    disk, test = Disk(), getattr(Everything(), name)
    async with AsyncExitStack() as openings:
        given = {}
        for parameter in inspect.signature(test).parameters:
            opening = store(disk)
            given[parameter] = (lambda: store(disk)) if parameter == "new_store" else opening
            if parameter != "new_store":
                await openings.enter_async_context(steps.opened(opening))
            if parameter == "cursors":
                given[parameter] = cursors_of(opening)
                await given[parameter].register("mail", START)
        await test(**given)


@pytest.mark.parametrize("defect", _DEFECTS, ids=lambda defect: defect.__name__)
def test_each_defect_turns_its_tests_red(
    defect: type[Opening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "DEADLINE", 0.2 if defect.hangs else 5.0)
    red = _RED + (TimeoutError,) * defect.hangs
    green = []
    for name in defect.fails:
        try:
            asyncio.run(_run(name, defect))
        except red:
            continue
        green.append(name)
    assert green == []


@pytest.mark.parametrize("name", _TESTS)
def test_each_test_is_green_without_a_defect(name: str) -> None:
    asyncio.run(_run(name, Opening))


def test_each_test_is_turned_red_by_a_defect() -> None:
    found = frozenset[str]().union(*(defect.fails for defect in _DEFECTS))
    assert sorted(found) == _TESTS
