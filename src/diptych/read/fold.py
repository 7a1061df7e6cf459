"""Folding a batch of events into the rows of a view: pure, and the inner loop of the projector."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.read.model import Decoded, Unapplied

Key = tuple[str, object]
"""Of a row: the tenant, and the value of its key (a tuple if it has several fields)."""

Project = Callable[[Any, Any, RecordedEvent], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """How a view finds the rows of an event, and what the event makes of them.

    `expand` gives the key of each step beside its event: one step for each row of an event.
    `row_key` reads the key from a row. `touches` tells that an event counts for a row even where
    `project` returned the row that it got.
    """

    name: str
    expand: Callable[[Sequence[Decoded]], tuple[Sequence[Key], Sequence[Decoded]]]
    project: Project
    row_key: Callable[[Any], object]
    touches: bool

    def fold(
        self,
        rows: dict[Key, Any],
        *,
        keys: Sequence[Key],
        steps: Sequence[Decoded],
        touched: dict[Key, RecordedEvent],
    ) -> None:
        """Change `rows`; `touched` gets the last event of each row that is to be written.

        Raises: Unapplied: `project` failed, or returned a row with another key.
        """
        project, row_key, touches = self.project, self.row_key, self.touches
        try:
            for key, (recorded, event) in zip(keys, steps, strict=True):
                before = rows.get(key)
                after = project(before, event, recorded)
                if after is not before:
                    if after is not None and row_key(after) != key[1]:
                        raise _other_key(self.name)  # noqa: TRY301
                    rows[key] = after
                    touched[key] = recorded
                elif touches and after is not None:
                    touched[key] = recorded
        except Exception as error:
            raise Unapplied(recorded.position) from error


def one_key(key_of: Callable[[Any], object]) -> Callable[..., Any]:
    """Each event is for one row: the key is in the event."""

    def expand(decoded: Sequence[Decoded]) -> tuple[Sequence[Key], Sequence[Decoded]]:
        return [(recorded.tenant, key_of(event)) for recorded, event in decoded], decoded

    return expand


def many_keys(keys_of: Callable[[Any], Iterable[object]]) -> Callable[..., Any]:
    """Each event is for any number of rows, each once; the step carries event and key."""

    def expand(decoded: Sequence[Decoded]) -> tuple[Sequence[Key], Sequence[Decoded]]:
        keys: list[Key] = []
        steps: list[Decoded] = []
        for recorded, event in decoded:
            try:
                found = dict.fromkeys(keys_of(event))
            except Exception as error:
                raise Unapplied(recorded.position) from error
            for value in found:
                keys.append((recorded.tenant, value))
                steps.append((recorded, (event, value)))
        return keys, steps

    return expand


def with_key(project: Callable[[Any, Any, RecordedEvent, Any], Any]) -> Project:
    """Unpacks what `many_keys` packed."""
    return lambda row, step, recorded: project(row, step[0], recorded, step[1])


def _other_key(view: str) -> ConfigurationError:
    return ConfigurationError(
        f"project of view {view} returned a row with another key than that of the row it got, or"
        " of the event: the key fields of a row must not change"
    )
