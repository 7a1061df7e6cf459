"""The caller's: a request that is refused, and changed nothing."""

from uuid import UUID

from diptych.errors.kinds import Rejected


class InvalidInput(Rejected):
    """A value cannot be accepted. `field` says where (`items.0.quantity`), `problem` why."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class LimitExceeded(InvalidInput):
    """A value is larger than its limit. `limit` is the largest that is accepted."""

    def __init__(self, field: str, *, limit: int, unit: str) -> None:
        super().__init__(field, f"at most {limit} {unit}")
        self.limit, self.unit = limit, unit


class InvalidToken(InvalidInput):
    """The consistency token was not made by this system, or was changed on its way."""

    def __init__(self) -> None:
        super().__init__("token", "is not a token that this service gave out")


class TokenFromAnotherHistory(InvalidInput):
    """The token proves an event that this log does not have: another log, or a restored one."""

    def __init__(self) -> None:
        super().__init__("token", "belongs to another log or to a history that was replaced")


class InvalidCursor(InvalidInput):
    """The page cursor was changed, or was made by another query, filter or order."""

    def __init__(self) -> None:
        super().__init__("cursor", "does not belong to this query")


class CommandIdReused(Rejected):
    """The command id was used before with other content; the first outcome stands."""

    def __init__(self, command_id: UUID) -> None:
        super().__init__(f"command id {command_id} was used before with other content")
        self.command_id = command_id
