"""The command bus: a dictionary, and middleware that was composed before."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from diptych.errors import ConfigurationError, NoHandler
from diptych.messages import Envelope
from diptych.store.contract import Point
from diptych.write.bus import CommandBus, Handle
from diptych.write.outcome import Outcome

ENVELOPE = Envelope(uuid4(), datetime.now(UTC), uuid4())


@dataclass(frozen=True)
class Open:
    door: str


@dataclass(frozen=True)
class Close:
    door: str


async def handle(command: Open, envelope: Envelope) -> Outcome:
    return Outcome(envelope.command_id, (), Point(1), UUID(int=1))


async def test_a_command_finds_what_handles_it() -> None:
    bus = CommandBus()
    bus.register(Open, handle)
    assert (await bus.dispatch(Open("front"), ENVELOPE)).command_id == ENVELOPE.command_id


def test_an_unknown_command_is_refused_with_the_names_of_the_known() -> None:
    bus = CommandBus()
    bus.register(Open, handle)
    with pytest.raises(NoHandler, match=r"nothing handles Close; registered: Open") as refused:
        bus.dispatch(Close("front"), ENVELOPE)
    assert refused.value.message is Close
    assert refused.value.registered == (Open,)


def test_two_handlers_for_one_command_are_refused() -> None:
    bus = CommandBus()
    bus.register(Open, handle)
    with pytest.raises(ConfigurationError, match="two handlers or deciders for Open"):
        bus.register(Open, handle)


async def test_middleware_wraps_from_the_outside_in_and_is_composed_once() -> None:
    seen: list[str] = []

    def logged(name: str):  # type: ignore[no-untyped-def]
        def wrap(inner: Handle) -> Handle:
            seen.append(f"compose {name}")

            async def call(command: object, envelope: Envelope) -> Outcome:
                seen.append(f"{name} before")
                outcome = await inner(command, envelope)
                seen.append(f"{name} after")
                return outcome

            return call

        return wrap

    bus = CommandBus([logged("outer"), logged("inner")])
    bus.register(Open, handle)
    assert seen == ["compose inner", "compose outer"]
    for _ in range(2):
        await bus.dispatch(Open("front"), ENVELOPE)
    assert seen[2:6] == ["outer before", "inner before", "inner after", "outer after"]
    assert seen[2:6] == seen[6:]
