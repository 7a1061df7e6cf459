"""Which rows of a view an event is for: the four ways to say it, what each needs, and its rule."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.read.columns import RowLayout
from diptych.read.derived import changed_rows, check_key, origin_of, with_change
from diptych.read.fold import Rule, many_keys, one_key, with_key
from diptych.read.sticky import StickyRule, told_keys


@dataclass(frozen=True, slots=True)
class Keying:
    """The row that an event names by `fields`, by all of `keys`, or by the last of its stream that
    had them (`sticky`); or the rows that a changed row of a source names (`over` is its layout).
    """

    view: str
    fields: tuple[str, ...]
    keys: Callable[[Any], Iterable[Any]] | None
    sticky: bool
    over: RowLayout[Any] | None

    @property
    def parts(self) -> tuple[str, ...]:
        """What of it is in the fingerprint; nothing where a view only could do what it always
        could."""
        return ("sticky",) if self.sticky else ()

    @property
    def key_of(self) -> Callable[[Any], object]:
        return attrgetter(*self.fields)

    def rule(self, project: Callable[..., Any], *, touches: bool) -> Rule:
        key_of = self.key_of
        if self.over is not None:
            expand, fold = changed_rows(key_of), with_change(project)
            return Rule(self.view, expand, fold, key_of, touches, origin_of)
        if self.keys is not None:
            return Rule(self.view, many_keys(self.keys), with_key(project), key_of, touches)
        expand = told_keys if self.sticky else one_key(key_of)
        return Rule(self.view, expand, project, key_of, touches)

    def stream_prefix(self, families: Sequence[Events[Any]]) -> str:
        """What comes before the key in a stream's name, if the key may be the stream's."""
        plain = self.keys is None and self.over is None and not self.sticky
        if plain and len(self.fields) == 1 and len(families) == 1:
            return f"{families[0].category}-"
        return ""

    def check(
        self, families: Sequence[Events[Any]], *, row: RowLayout[Any], partitions: int
    ) -> StickyRule | None:
        """Raises ConfigurationError: the key cannot be found, or two ways are asked for at once."""
        self._refuse_both(partitions)
        if self.over is not None:
            check_key(self.view, self.fields, row=row, of=self.over)
        types = [event for family in families for event in family.types]
        having = [event for event in types if all(_has(event, name) for name in self.fields)]
        if self.sticky:
            if not having:
                raise self._lacking("no event of it has")
            return StickyRule(self.view, self.fields, types=having, row=row)
        if self.keys is None and self.over is None:
            for event in types:
                if event not in having:
                    raise self._lacking(f"{event.__qualname__} lacks")
        return None

    def _refuse_both(self, partitions: int) -> None:
        ways = {"keys=": self.keys is not None, "sticky=": self.sticky}
        ways = {"source=": self.over is not None, **ways, "partitions=": partitions > 1}
        asked = [way for way, given in ways.items() if given]
        if len(asked) > 1 and asked != ["keys=", "partitions="]:
            raise ConfigurationError(
                f"view {self.view}: {' and '.join(asked)} do not go together: leave one out"
            )

    def _lacking(self, who: str) -> ConfigurationError:
        named = ", ".join(map(repr, self.fields))
        return ConfigurationError(
            f"view {self.view} is keyed by {named}, which {who}: add the field to the event, or"
            " give View(keys=) a function from the event to the keys of its rows, or"
            " View(sticky=True) where an earlier event of the stream has it"
        )


def _has(event: type[Any], name: str) -> bool:
    annotated = any(name in vars(base).get("__annotations__", {}) for base in event.__mro__)
    return annotated or isinstance(getattr(event, name, None), property)
