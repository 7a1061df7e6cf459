"""How the run of a reaction ends: another has taken over, or an event has failed."""

from diptych.store.cursors import Failure


class Superseded(Exception):
    """Another process has taken this cursor over."""


class Stopped(Exception):
    """An event failed, and the reaction is to wait for an operator."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


def told(failure: Failure) -> str:
    """In one line."""
    return f"{failure.stream} at {failure.position}, {failure.event_type}: {failure.error}"
