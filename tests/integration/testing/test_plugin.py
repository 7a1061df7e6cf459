"""The plugin's fixtures give applications on files of their own, and cost nothing to import."""

import subprocess
import sys
from collections.abc import Callable

from diptych import Application, MemoryEventStore
from diptych.testing import START, FixedClock, plugin
from tests.unit.testing.shelf import Lend, Return, shelf

# Named here, they are there whether or not the plugin is installed.
fixed_clock = plugin.fixed_clock
diptych_memory_log = plugin.diptych_memory_log
diptych_app = plugin.diptych_app

AppFactory = Callable[..., Application]


async def test_an_application_has_the_fixed_clock(
    diptych_app: AppFactory, fixed_clock: FixedClock
) -> None:
    async with diptych_app(write=[shelf]) as app:
        await app.dispatch(Lend("Emma", "ann"))
        page = await app.log.read()
    assert [event.recorded_at for event in page.events] == [START]
    assert fixed_clock.now() == START


async def test_a_second_application_finds_what_the_first_one_left(diptych_app: AppFactory) -> None:
    async with diptych_app(write=[shelf]) as app:
        await app.dispatch(Lend("Emma", "ann"))
    async with diptych_app(write=[shelf]) as app:
        assert (await app.dispatch(Return("Emma"))).version == 2


async def test_an_application_may_have_a_log_in_memory(
    diptych_app: AppFactory, diptych_memory_log: MemoryEventStore
) -> None:
    async with diptych_app(write=[shelf], log=diptych_memory_log) as app:
        assert (await app.dispatch(Lend("Emma", "ann"))).position == 1
        assert (await diptych_memory_log.head()).position == 1


def test_importing_the_plugin_imports_nothing_that_costs_anything() -> None:
    code = "import sys, pytest; before = set(sys.modules); import diptych.testing.plugin;"
    code += "print(*sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == [
        "diptych",
        "diptych.testing",
        "diptych.testing.clock",
        "diptych.testing.plugin",
    ]
