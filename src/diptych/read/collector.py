"""Holds Python's cyclic garbage collector off while a large batch is worked on.

A batch makes tens of thousands of objects, and all of them die with it, by their reference counts.
While they live the collector looks at them over and over, takes them for old, and then walks the
whole heap: a quarter to a half of the time of a projection that catches up. Held off until the
batch is gone, it finds nothing. Garbage of others waits for as long, some tens of milliseconds.
"""

import gc
from collections.abc import Generator
from contextlib import contextmanager


class _Collector:
    def __init__(self) -> None:
        self._holders = 0
        self._was_on = False

    @contextmanager
    def held(self) -> Generator[None]:
        """Whoever comes first turns it off, whoever leaves last on, if it was on at all."""
        if not self._holders:
            self._was_on = gc.isenabled()
            gc.disable()
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders and self._was_on:
                gc.enable()


held_off = _Collector().held
