"""`Outcome`: what came of a command."""

from uuid import UUID

from msgspec import Struct

from diptych.store.contract import Appended, Point, StreamVersion
from diptych.tokens import Token


class Outcome(Struct, frozen=True, gc=False):
    """A command that took effect, or had nothing to do.

    `token` proves the outcome: a query `at_least` it sees what the command did. `point` is the last
    event that was written, or that the decision was made on. `repeated` tells
    that the command id had taken effect before, and that this is what came of it then.
    """

    command_id: UUID
    streams: tuple[StreamVersion, ...]
    point: Point
    log_id: UUID
    repeated: bool = False

    @property
    def token(self) -> Token:
        """What a query is given as `at_least` to see what the command did."""
        return Token(self.log_id, self.point.position, self.point.event_id)

    @property
    def stream(self) -> str:
        """The first stream that was written; most commands write one. Empty if none was."""
        return self.streams[0].stream if self.streams else ""

    @property
    def version(self) -> int:
        """The version of `stream` after the command."""
        return self.streams[0].version if self.streams else 0

    @property
    def position(self) -> int:
        """The position of the last event that was written, or that the decision was made on."""
        return self.point.position


def outcome_of(command_id: UUID, appended: Appended, log_id: UUID) -> Outcome:
    return Outcome(command_id, appended.streams, appended.point, log_id, appended.repeated)
