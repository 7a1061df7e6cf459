"""Views over views: what an event made of a source row is the event of the view over it.

A source row that changed is folded as the pair of what it was and what it is, None where there is
no row. Pairs come one for each event, in the order of the log, and are never drawn together: so the
result does not depend on how the log is cut into pages. Where the key changed, the old row gets
`(before, None)` and the new one `(None, after)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.read.column_kinds import unwrap
from diptych.read.columns import RowLayout
from diptych.read.fold import Change, Expand, Project
from diptych.read.model import Decoded, Key


def changed_rows(key_of: Callable[[Any], object]) -> Expand:
    """The steps of changes of a source. A source row whose key is None is for no row."""

    def expand(decoded: Sequence[Decoded]) -> tuple[list[Key], Sequence[Decoded]]:
        keys: list[Key] = []
        steps: list[Decoded] = []
        for step in decoded:
            recorded, change = step
            before, after, origin = change
            old = None if before is None else key_of(before)
            new = None if after is None else key_of(after)
            if old is new or before is None or old == new:
                if not _is_none(new):
                    keys.append((recorded.tenant, new))
                    steps.append(step)
                continue
            if not _is_none(old):
                keys.append((recorded.tenant, old))
                steps.append((recorded, (before, None, origin)))
            if not _is_none(new):
                keys.append((recorded.tenant, new))
                steps.append((recorded, (None, after, origin)))
        return keys, steps

    return expand


def with_change(project: Callable[[Any, Any, Any], Any]) -> Project:
    """Unpacks what `changed_rows` packed."""

    def fold(row: Any, change: Change, _: RecordedEvent) -> Any:
        return project(row, change[0], change[1])

    return fold


def origin_of(_: Key, change: Change) -> Key:
    """The key of the root view whose event made the change."""
    return change[2]


def check_key(view: str, fields: Sequence[str], *, row: RowLayout[Any], of: RowLayout[Any]) -> None:
    """Raises ConfigurationError: the rows of the source lack the key, or it has another type."""
    for name in fields:
        if name not in of.names:
            raise ConfigurationError(
                f"view {view} is keyed by {name!r}, which {of.row_type.__name__}, the row of its"
                " source, lacks: add the field to that row"
            )
        if unwrap(of.field_type(name)).bare != unwrap(row.field_type(name)).bare:
            raise ConfigurationError(
                f"view {view}: field {name!r} is of another type in {of.row_type.__name__} than in"
                f" {row.row_type.__name__}: declare them alike"
            )


def _is_none(key: object) -> bool:
    return key is None or (type(key) is tuple and None in key)
