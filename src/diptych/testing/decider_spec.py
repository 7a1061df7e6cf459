"""`DeciderSpec`: tests of a write model. Given what happened, when a command comes, then what?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from diptych.errors import Rejected
from diptych.messages import Envelope, RecordedEvent
from diptych.testing.clock import START, SequentialIds
from diptych.testing.difference import described, difference
from diptych.write.decider import Decider

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
Refusal = TypeVar("Refusal", bound=Rejected)


class DeciderSpec(Generic[C, S, E]):
    """Tests that tell a story and touch nothing:

        spec = DeciderSpec(orders)

        def test_a_shipped_order_cannot_be_cancelled() -> None:
            spec.given(created, shipped).when(cancel).then_rejected(OrderAlreadyShipped)

    The decider is the real one. Beside what the test says it is checked that every event comes
    back equal after it was stored, that `decide` is pure (it is asked twice), and that `evolve`
    takes what was decided.
    """

    def __init__(self, decider: Decider[C, S, E]) -> None:
        self._decider = decider

    def given(self, *events: E) -> "History[C, S, E]":
        """What happened before, in order; nothing for an aggregate that does not exist yet."""
        __tracebackhide__ = True
        return History(self._decider, _stored(self._decider, events))


@dataclass(frozen=True, slots=True)
class History(Generic[C, S, E]):
    """What happened before the command."""

    decider: Decider[C, S, E]
    events: tuple[E, ...]

    def when(
        self,
        command: C,
        *,
        actor: str = "",
        tenant: str = "",
        at: datetime = START,
        command_id: UUID | None = None,
    ) -> "Decision[C, E]":
        """Decide `command`. The rest is what the envelope tells a `decide` with three parameters.

        Raises:
            AssertionError: `decide` gave another answer when it was asked again, or decided an
                event that does not come back from the log as it was.
            TypeError: the decider has no such command.
            Exception: whatever `decide` raises that is not a `Rejected`.
        """
        __tracebackhide__ = True
        decider = self.decider
        if not isinstance(command, decider.commands):
            raise TypeError(f"{type(command).__name__} is not a command of {decider!r}")
        decider.stream_of(command)
        own_id = command_id or next(SequentialIds())
        envelope = Envelope(own_id, at, own_id, None, actor, tenant, command_id is not None)
        decision = self._decide(command, envelope)
        _require_pure(decision, self._decide(command, envelope))
        return decision

    def _decide(self, command: C, envelope: Envelope) -> "Decision[C, E]":
        state = self.decider.fold(self.events)
        try:
            events = tuple(self.decider.decide(command, state, envelope))
        except Rejected as refusal:
            return Decision(command, (), refusal)
        self.decider.fold(_stored(self.decider, events), state)
        return Decision(command, events, None)


@dataclass(frozen=True, slots=True)
class Decision(Generic[C, E]):
    """What was decided: events, no events, or a refusal."""

    command: C
    events: tuple[E, ...]
    refusal: Rejected | None

    def then(self, *events: E) -> None:
        """Exactly these events were decided, in this order."""
        __tracebackhide__ = True
        self._require_accepted()
        if _kinds(self.events) != _kinds(events) or self.events != events:
            raise AssertionError(
                f"{self._when} decided other events (- expected, + decided):\n"
                f"{difference(events, self.events)}"
            )

    def then_nothing(self) -> None:
        """The command was accepted, and there was nothing to do."""
        __tracebackhide__ = True
        self._require_accepted()
        if self.events:
            raise AssertionError(f"{self._when} decided, instead of nothing:\n{self._decided}")

    def then_rejected(self, error: type[Refusal], *, match: str | None = None) -> Refusal:
        """The command was refused with `error`, whose message has the pattern `match` in it.

        Returns the refusal, for a look at its facts.
        """
        __tracebackhide__ = True
        if self.refusal is None:
            decided = self._decided or "nothing"
            raise AssertionError(f"{self._when} decided, instead of a refusal:\n{decided}")
        if not isinstance(self.refusal, error):
            raise AssertionError(  # noqa: TRY004 - this is a test that fails
                f"{self._when} was refused with {_named(self.refusal)}, not {error.__name__}"
            ) from self.refusal
        if match is not None and not re.search(match, str(self.refusal)):
            raise AssertionError(f"{_named(self.refusal)} does not match {match!r}")
        return self.refusal

    def _require_accepted(self) -> None:
        __tracebackhide__ = True
        if self.refusal is not None:
            refused = f"{self._when} was refused with {_named(self.refusal)}"
            raise AssertionError(refused) from self.refusal

    @property
    def _when(self) -> str:
        return type(self.command).__name__

    @property
    def _decided(self) -> str:
        return "\n".join(line for event in self.events for line in described(event))


def _stored(decider: Decider[C, S, E], events: Sequence[E]) -> tuple[E, ...]:
    """The events as they come back from the log.

    Raises: AssertionError: one comes back changed.
    """
    __tracebackhide__ = True
    ids, back = SequentialIds(), list[E]()
    for version, event in enumerate(events, start=1):
        data = decider.events.encode(event, event_id=next(ids))
        recorded = RecordedEvent(
            version, "", "", version, data.event_id, data.type, data.data, b"{}", START, None, ()
        )
        found = decider.events.decode_all(recorded)
        if found != (event,) or type(found[0]) is not type(event):
            raise AssertionError(
                f"{type(event).__name__} does not come back from the log as it was"
                f" (- before, + after):\n{difference([event], found)}"
            )
        back.extend(found)
    return tuple(back)


def _require_pure(first: Decision[C, E], second: Decision[C, E]) -> None:
    __tracebackhide__ = True
    if first.events != second.events or type(first.refusal) is not type(second.refusal):
        raise AssertionError(
            "decide is not pure: asked again, it decided otherwise (- first, + second):\n"
            f"{difference(first.events, second.events)}"
        )


def _kinds(events: Sequence[object]) -> list[type]:
    return [type(event) for event in events]


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
