"""What the exit codes of every command mean, and how an error becomes one."""

from typing import Final

from diptych.errors import ConfigurationError, Rejected

DONE: Final = 0
"""It is done, or all is well."""

FAILED: Final = 1
"""It cannot be done now, or views are not well: trying again may help."""

WRONG: Final = 2
"""The command line or the wiring of the application has to change first."""

FOUND: Final = 3
"""It looked, and found what has to be dealt with: differences, a breaking change, a cause."""

STOPPED: Final = 130
"""A signal came first."""


def code_of(error: BaseException) -> int:
    """By whose move is next: `WRONG` is the caller's or the programmer's, `FAILED` all others'."""
    return WRONG if isinstance(error, Rejected | ConfigurationError) else FAILED
