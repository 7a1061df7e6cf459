"""Statements that are compiled once and given to a driver as text, whichever database it is."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from diptych.read.database import Wanted
from diptych.read.standings import ADVANCE, MINE, select_standings
from diptych.read.table import ViewTable

T = TypeVar("T")

Compiled = tuple[str, tuple[object, ...]]
"""SQL with its values."""


class CompiledStatements(ABC, Generic[T]):
    """The statements of one read database; those of a table are made when it is first used."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._tables: dict[str, T] = {}
        self._standings: dict[tuple[Wanted, ...], Compiled] = {}
        self._kept: dict[sa.Select[Any], tuple[str, tuple[str, ...]]] = {}
        self.advance = self._text(ADVANCE, "to", "id", "at", *MINE)

    def of(self, view: ViewTable) -> T:
        found = self._tables.get(view.name)
        if found is None:
            found = self._tables[view.name] = self._of(view)
        return found

    def standings(self, wanted: tuple[Wanted, ...]) -> Compiled:
        found = self._standings.get(wanted)
        if found is None:
            compiled = select_standings(wanted).compile(dialect=self._dialect)
            values = tuple(compiled.params[name] for name in _order(compiled))
            found = self._standings[wanted] = (str(compiled), values)
        return found

    def kept(self, statement: sa.Select[Any]) -> tuple[str, tuple[str, ...]]:
        """SQL text, and the names of its parameters in order."""
        found = self._kept.get(statement)
        if found is None:
            compiled = statement.compile(dialect=self._dialect)
            found = self._kept[statement] = (str(compiled), _order(compiled))
        return found

    @abstractmethod
    def _of(self, view: ViewTable) -> T: ...

    def _text(self, statement: sa.ClauseElement, *names: str) -> str:
        """SQL that takes the values of `names` in that order."""
        compiled = statement.compile(dialect=self._dialect)
        if _order(compiled) != names:
            raise AssertionError(f"{_order(compiled)} is not {names}")
        return str(compiled)


def _order(compiled: Any) -> tuple[str, ...]:
    return tuple(compiled.positiontup or ())
