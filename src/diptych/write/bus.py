"""`CommandBus`: from a command to what handles it, through the middleware."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from diptych.errors import ConfigurationError, NoHandler
from diptych.messages import Envelope
from diptych.write.outcome import Outcome

Handle = Callable[[Any, Envelope], Awaitable[Outcome]]
"""Takes a command with its envelope to an outcome."""

Middleware = Callable[[Handle], Handle]
"""Wraps a handle in another. Runs once, when a command is registered."""


class CommandBus:
    """A dictionary from command type to handle.

    The middleware, outermost first, is wrapped around each handle when it is registered, so a
    dispatch costs a look-up and the calls themselves.
    """

    def __init__(self, middleware: Sequence[Middleware] = ()) -> None:
        self._middleware = tuple(middleware)
        self._handles: dict[type, Handle] = {}

    @property
    def commands(self) -> tuple[type, ...]:
        """The types of command that are handled."""
        return tuple(self._handles)

    def register(self, command: type, handle: Handle) -> None:
        """Raises: ConfigurationError: the command type is registered already."""
        if command in self._handles:
            raise ConfigurationError(
                f"two handlers or deciders for {command.__qualname__}: leave one of them out"
            )
        for wrap in reversed(self._middleware):
            handle = wrap(handle)
        self._handles[command] = handle

    def dispatch(self, command: object, envelope: Envelope) -> Awaitable[Outcome]:
        """Begin to handle `command`; await the result for its outcome.

        Raises: NoHandler: its type is not registered.
        """
        handle = self._handles.get(type(command))
        if handle is None:
            raise NoHandler(type(command), registered=self.commands)
        return handle(command, envelope)
