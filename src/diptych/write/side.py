"""`WriteSide`: the left panel as one part; finds what handles a command, and has it executed."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from diptych.clock import Clock
from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.messages import Envelope
from diptych.store.contract import WriteStore
from diptych.store.limits import check_name, check_version
from diptych.write.bus import CommandBus, Handle, Middleware
from diptych.write.decider import Decider
from diptych.write.execute import Executor
from diptych.write.handler import CommandHandler, run_handler
from diptych.write.outcome import Outcome

AnyDecider = Decider[Any, Any, Any]


class WriteSide:
    """Deciders and handlers over one log.

    Raises:
        ConfigurationError: two deciders for a category or command, two handlers for a command.
    """

    def __init__(
        self,
        parts: Sequence[AnyDecider | CommandHandler],
        *,
        store: WriteStore,
        clock: Clock,
        middleware: Sequence[Middleware] = (),
        uncommitted: bool = False,
    ) -> None:
        self._parts, self._clock, self._middleware = parts, clock, middleware
        deciders = [part for part in parts if isinstance(part, Decider)]
        handlers = [part for part in parts if isinstance(part, CommandHandler)]
        if len(deciders) + len(handlers) < len(parts):
            raise ConfigurationError("write= takes deciders, and handlers made by handler(...)")
        _check_categories(deciders)
        self.families: tuple[Events[Any], ...] = tuple(decider.events for decider in deciders)
        self.bus = CommandBus(middleware)
        self._executor = Executor(store, clock, uncommitted=uncommitted)
        self._register(deciders, handlers)

    def over(self, store: WriteStore) -> "WriteSide":
        """The same parts on a store that commits later, with nothing kept yet."""
        return WriteSide(
            self._parts,
            store=store,
            clock=self._clock,
            middleware=self._middleware,
            uncommitted=True,
        )

    async def close(self) -> None:
        """Begin nothing more behind the commits."""
        await self._executor.snapshots.close()

    def dispatch(
        self,
        command: object,
        *,
        command_id: UUID | None,
        actor: str,
        tenant: str,
        expected_version: int | None,
        correlation_id: UUID | None,
        causation_id: UUID | None,
    ) -> Awaitable[Outcome]:
        """Make the envelope of a command and begin to handle it; await the result.

        Raises: InvalidInput, LimitExceeded: actor, tenant or version. NoHandler.
        """
        if actor:
            check_name("actor", actor)
        if tenant:
            check_name("tenant", tenant)
        if expected_version is not None:
            check_version("expected_version", expected_version)
        own_id = command_id or self._clock.new_id()
        envelope = Envelope(
            own_id,
            self._clock.now(),
            correlation_id or own_id,
            causation_id,
            actor,
            tenant,
            command_id is not None,
            expected_version,
        )
        return self.bus.dispatch(command, envelope)

    def _register(self, deciders: Sequence[AnyDecider], handlers: Sequence[CommandHandler]) -> None:
        for handler in handlers:
            self.bus.register(handler.command, partial(run_handler, self._executor, handler))
        goes_first = {handler.command for handler in handlers}
        decided: set[type] = set()
        for decider in deciders:
            if decider.snapshot_every:
                decider.states  # noqa: B018 - made at start-up, where its errors belong
            for command in decider.commands:
                if command in decided:
                    raise ConfigurationError(f"two deciders for {command.__qualname__}")
                decided.add(command)
                if command not in goes_first:
                    self.bus.register(command, self._decided_by(decider))

    def _decided_by(self, decider: AnyDecider) -> Handle:
        return partial(self._executor.execute, decider)


def _check_categories(deciders: Sequence[AnyDecider]) -> None:
    seen: set[str] = set()
    for decider in deciders:
        category = decider.events.category
        if category in seen:
            raise ConfigurationError(
                f"two deciders for category {category!r}: one category is decided by one decider"
            )
        seen.add(category)
