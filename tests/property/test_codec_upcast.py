"""Chains of upcasters: however they are declared, old shapes take each step once, in order."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.upcast import Upcast

ID = UUID(int=1)
NAMES = st.sampled_from(["Opened", "v0", "v1", "v2", "v3"])


@dataclass(frozen=True, slots=True)
class Opened:
    steps: tuple[str, ...] = ()


def step(name: str, old: dict[str, Any]) -> dict[str, Any]:
    return {"steps": [*old["steps"], name]}


def opened(type: str, steps: str = "[]") -> RecordedEvent:  # noqa: A002
    data = f'{{"steps":{steps}}}'.encode()
    return RecordedEvent(1, "", "o-1", 1, ID, type, data, b"{}", datetime.now(UTC), None, ())


@given(st.integers(1, 8).flatmap(lambda length: st.permutations(range(length))))
def test_each_old_shape_takes_the_steps_that_are_left(order: list[int]) -> None:
    length = len(order)
    names = [f"v{number}" for number in range(length)] + ["Opened"]
    upcasters = [Upcast(names[at], names[at + 1], change=partial(step, names[at])) for at in order]
    family = Events("order", Opened, upcasters=upcasters)
    for at, name in enumerate(names):
        assert family.decode_all(opened(name)) == (Opened(tuple(names[at:length])),)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=6))
def test_a_family_either_knows_where_every_old_shape_ends_or_is_refused(
    pairs: list[tuple[str, str]],
) -> None:
    upcasters = [Upcast(old, new, change=partial(step, old)) for old, new in pairs]
    steps = dict(pairs)
    once = len(steps) == len(pairs) and "Opened" not in steps
    sound = once and all(_ends(steps, old) for old in steps)
    try:
        family = Events("order", Opened, upcasters=upcasters)
    except ConfigurationError:
        assert not sound
    else:
        assert sound
        for old in steps:
            (found,) = family.decode_all(opened(old))
            assert found.steps[0] == old


def _ends(steps: dict[str, str], name: str) -> bool:
    for _ in range(len(steps) + 1):
        if name == "Opened":
            return True
        name = steps.get(name, "nowhere")
    return False
