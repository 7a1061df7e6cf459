"""Command handlers: code that gathers facts before the decider decides, and writes once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace

from diptych.codec import Events
from diptych.errors import ConcurrencyError, ConfigurationError, Rejected
from diptych.messages import Envelope
from diptych.store.contract import (
    START,
    Appended,
    Condition,
    ExpectedVersion,
    Load,
    Point,
    Write,
)
from diptych.write.committing import appending, commit, first_outcome, record_of
from diptych.write.decider import Decider, required, stream_name
from diptych.write.execute import Executor
from diptych.write.known import Known
from diptych.write.outcome import Outcome, outcome_of

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")

HandlerFunction = Callable[..., Awaitable[Outcome | None]]


class HandlerObject(Protocol):
    """Any object with an async `handle`."""

    @property
    def handle(self) -> HandlerFunction: ...


@dataclass(frozen=True, slots=True)
class CommandHandler:
    """A command type and what handles it; made by `handler`."""

    command: type
    call: Callable[[Any, "Writer", Envelope], Awaitable[Outcome | None]]


def handler(command: type[C], function: HandlerFunction | HandlerObject) -> CommandHandler:
    """Let an async function, or an object with `handle`, handle a command type.

    It is called with `(command)`, `(command, write)` or `(command, write, envelope)`, as it has
    parameters. A handler over a command of a decider goes first and hands on with
    `return await write(decider, command)`. It may run again under the same command id until it
    has written, so what it does besides must bear repetition.

    Raises: ConfigurationError: it takes another number of parameters.
    """
    target = function if callable(function) else function.handle
    count = required(target)
    if not 1 <= count <= 3:
        raise ConfigurationError(
            f"the handler of {command.__qualname__} takes {count} parameters: write"
            " handle(command), handle(command, write) or handle(command, write, envelope)"
        )
    return CommandHandler(command, lambda *given: target(*given[:count]))


@dataclass(frozen=True, slots=True)
class Change(Generic[E]):
    """Events for one stream of a category, for `Writer.append`."""

    events: Events[E]
    key: object
    new: Sequence[E]
    expected_version: ExpectedVersion


class Writer:
    """What a handler writes with: once, because a command has one outcome.

    Raises from its second write: ConfigurationError.
    """

    def __init__(self, executor: Executor, command: object, envelope: Envelope) -> None:
        self._executor, self._command, self._envelope = executor, command, envelope
        self._wrote = False
        self._outcome: Outcome | None = None
        self._seen: Point = START

    async def __call__(self, decider: Decider[C, S, E], command: C) -> Outcome:
        """Let `decider` decide `command` and append what it decided, as `Executor.execute` does."""
        self._once()
        self._outcome = await self._executor.execute(decider, command, self._envelope)
        return self._outcome

    async def load(self, decider: Decider[C, S, E], key: object) -> Known[S]:
        """The present state and version of any aggregate, to decide on."""
        stream = decider.stream(key)
        key, snapshots = (decider, self._envelope.tenant, stream), self._executor.snapshots
        known, loaded = await snapshots.load(key, Load(stream, self._envelope.tenant))
        events = [event for _, event in await decider.events.decode(loaded.events)]
        if loaded.point.position > self._seen.position:
            self._seen = loaded.point
        state = decider.fold(events, known.state)
        return snapshots.offer(key, Known(state, loaded.version, loaded.point, known.kept))

    async def append(self, *changes: Change[Any], condition: Condition | None = None) -> Outcome:
        """Append to several streams at once, or under a condition: all of it or nothing.

        The version that the caller of the command expects is that of the first stream.

        Raises: as `EventStore.append` says; conflicts are not retried, the handler decides.
        """
        self._once()
        writes = self._expecting([self._write(change) for change in changes])
        return await self._commit(writes, condition)

    async def nothing(self) -> Outcome:
        """There was nothing to do; a repeat of the same command id gets the same answer."""
        if self._envelope.supplied:
            return await self._commit((), None)
        return self._keep(Appended(self._seen, ()))

    async def outcome(self) -> Outcome:
        """What came of the command: of the write, if there was one."""
        return self._outcome or await self.nothing()

    async def _commit(self, writes: tuple[Write, ...], condition: Condition | None) -> Outcome:
        append = appending(writes, record_of(self._command, self._envelope), self._envelope)
        append = replace(append, condition=condition)
        return self._keep(await commit(self._executor.store, append))

    def _keep(self, appended: Appended) -> Outcome:
        log_id = self._executor.store.log_id
        self._outcome = outcome_of(self._envelope.command_id, appended, log_id)
        return self._outcome

    def _write(self, change: Change[Any]) -> Write:
        new_id = self._executor.clock.new_id
        data = tuple(change.events.encode(event, event_id=new_id()) for event in change.new)
        stream = stream_name(change.events.category, change.key)
        return Write(stream, data, change.expected_version)

    def _expecting(self, writes: list[Write]) -> tuple[Write, ...]:
        """What the caller expects takes the place of what the handler saw, if it is as old."""
        expected = self._envelope.expected_version
        if expected is not None and writes:
            first = writes[0]
            seen = first.expected_version
            if isinstance(seen, int) and expected > seen:
                raise ConcurrencyError(first.stream, expected=expected, actual=seen)
            writes[0] = replace(first, expected_version=expected)
        return tuple(writes)

    def _once(self) -> None:
        if self._wrote:
            raise ConfigurationError(
                f"the handler of {type(self._command).__qualname__} writes twice: one command has"
                " one append; use write.append(...) for several streams"
            )
        self._wrote = True


async def run_handler(
    executor: Executor, handler: CommandHandler, command: object, envelope: Envelope
) -> Outcome:
    """Run the handler of a command, unless the command took effect before.

    A refusal by the handler is an answer only if no twin of the command succeeded meanwhile.
    """
    if first := await _found(executor, command, envelope):
        return first
    writer = Writer(executor, command, envelope)
    try:
        return await handler.call(command, writer, envelope) or await writer.outcome()
    except Rejected:
        if first := await _found(executor, command, envelope):
            return first
        raise


async def _found(executor: Executor, command: object, envelope: Envelope) -> Outcome | None:
    if not envelope.supplied:
        return None
    record = record_of(command, envelope)
    found = await executor.store.find(record.key)
    return first_outcome(record, found, executor.store) if found else None
