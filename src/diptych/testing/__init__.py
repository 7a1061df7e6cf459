"""What tests of applications are written with.

Each name is imported when it is first used, as in `diptych` itself: the pytest plugin passes
through here in every run. The suite for stores is in `diptych.testing.conformance`.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "DeciderSpec": "diptych.testing.decider_spec",
    "FixedClock": "diptych.testing.clock",
    "START": "diptych.testing.clock",
    "SequentialIds": "diptych.testing.clock",
    "ViewSpec": "diptych.testing.view_spec",
    "check_upcasters": "diptych.testing.upcasting",
    "happened": "diptych.testing.view_spec",
    "wait_until": "diptych.testing.waiting",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'diptych.testing' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
