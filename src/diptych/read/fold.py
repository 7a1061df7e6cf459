"""Folding a batch of events into the rows of a view: pure, and the inner loop of the projector.

A key is hashed and compared in Python, a UUID takes half a microsecond for each. So each event's
key is looked up once, for the number of its row in the batch (its slot); from then on rows are
found by slot.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import compress
from typing import Any

from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.read.model import Decoded, Key, Unapplied


@dataclass(slots=True)
class Batch:
    """The rows of one batch by slot, while events are folded into them.

    A step is an event for one row: `steps` have their slot in `slots`. `rows` are as they are
    now, None where there is none; `last` is the last event of each row that must be written.
    `changes` collects what the events made of the rows, for the views over this one; None if there
    are none.
    """

    keys: list[Key]
    slots: list[int]
    steps: Sequence[Decoded]
    rows: list[Any]
    last: list[RecordedEvent | None]
    changes: list[Decoded] | None = None

    def without(self, apart: AbstractSet[int]) -> "Batch":
        """The same without the slots `apart`; nothing may be folded or loaded yet."""
        kept = [slot for slot in range(len(self.keys)) if slot not in apart]
        new = dict(zip(kept, range(len(kept)), strict=True))
        inside = [slot not in apart for slot in self.slots]
        return Batch(
            [self.keys[slot] for slot in kept],
            [new[slot] for slot in compress(self.slots, inside)],
            list(compress(self.steps, inside)),
            [None] * len(kept),
            [None] * len(kept),
        )


Change = tuple[Any, Any, Key]
"""Of a row: as it was before an event and as it is after it, and the key whose event that was."""

Ours = Callable[[Key], bool]
Project = Callable[[Any, Any, RecordedEvent], Any]
Expand = Callable[[Sequence[Decoded]], tuple[list[Key], Sequence[Decoded]]]
Origin = Callable[[Key, Any], Key]


def own_key(key: Key, event: object) -> Key:  # noqa: ARG001
    """The origin in a view that is over no other."""
    return key


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """How a view finds the rows of an event, and what the event makes of them.

    `expand` gives the steps, and the key of each. `row_key` reads the key from a row. `touches`
    tells that an event counts for a row even where `project` returned the row that it got.
    `origin` gives the key of the root view from a step's key and event, where that is another.
    """

    name: str
    expand: Expand
    project: Project
    row_key: Callable[[Any], object]
    touches: bool
    origin: Origin = own_key

    def batch(self, decoded: Sequence[Decoded], *, only: Ours | None = None) -> Batch:
        """The steps of these events; `only` those for keys of which it says so.

        Raises: Unapplied: the keys of an event cannot be told, or are no keys.
        """
        try:
            return self._batch(decoded, only)
        except Exception as error:
            if len(decoded) > 1:
                for alone in decoded:
                    self.batch([alone], only=only)  # raises for the event that it is
            raise Unapplied(decoded[0][0].position) from error

    def _batch(self, decoded: Sequence[Decoded], only: Ours | None) -> Batch:
        keys, steps = self.expand(decoded)
        if only is not None:
            ours = {key: only(key) for key in dict.fromkeys(keys)}
            chosen = [ours[key] for key in keys]
            keys, steps = list(compress(keys, chosen)), list(compress(steps, chosen))
        found: dict[Key, int] = {}
        slot_of = found.setdefault
        slots = [slot_of(key, len(found)) for key in keys]
        return Batch(list(found), slots, steps, [None] * len(found), [None] * len(found))

    def fold(self, batch: Batch, part: slice) -> None:
        """Fold this part of the steps.

        Raises: Unapplied: `project` failed, or returned a row with another key.
        """
        project, row_key, touches = self.project, self.row_key, self.touches
        keys, rows, last, changes = batch.keys, batch.rows, batch.last, batch.changes
        origin = None if self.origin is own_key else self.origin
        recorded: RecordedEvent | None = None
        slot, event = 0, None
        try:
            for slot, (recorded, event) in zip(batch.slots[part], batch.steps[part], strict=True):
                before = rows[slot]
                after = project(before, event, recorded)
                if after is not before:
                    if after is not None:
                        key, expected = row_key(after), keys[slot][1]
                        if key is not expected and key != expected:
                            raise _other_key(self.name)  # noqa: TRY301
                    rows[slot] = after
                    last[slot] = recorded
                    if changes is not None:
                        key = keys[slot] if origin is None else origin(keys[slot], event)
                        changes.append((recorded, (before, after, key)))
                elif touches and after is not None:
                    last[slot] = recorded
        except Exception as error:
            position = recorded.position if recorded else 0
            key = self.origin(keys[slot], event) if recorded else None
            raise Unapplied(position, key=key) from error


def one_key(key_of: Callable[[Any], object]) -> Expand:
    """Each event is for one row, whose key it has."""

    def expand(decoded: Sequence[Decoded]) -> tuple[list[Key], Sequence[Decoded]]:
        return [(recorded.tenant, key_of(event)) for recorded, event in decoded], decoded

    return expand


def many_keys(keys_of: Callable[[Any], Iterable[object]]) -> Expand:
    """Each event is for any number of rows, each once; the step carries event and key."""

    def expand(decoded: Sequence[Decoded]) -> tuple[list[Key], Sequence[Decoded]]:
        keys: list[Key] = []
        steps: list[Decoded] = []
        for recorded, event in decoded:
            for value in dict.fromkeys(keys_of(event)):
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
