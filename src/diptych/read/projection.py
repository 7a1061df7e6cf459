"""`Projection`: a read model in SQL, for what is not a fold per key."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from diptych.codec import Events
from diptych.errors import ConfigurationError, StoreClosed, StoreError
from diptych.messages import RecordedEvent
from diptych.read.database import Loading, Parameters, Transaction
from diptych.read.model import Aside, Decoded, ReadModel, Rebuild, Unapplied, Write
from diptych.read.table import ViewTable, check_table_name, revised
from diptych.read.view import MAX_LAG

E = TypeVar("E")

_SLICE: Final = 20
"""Events that are applied before the event loop gets its turn."""

_LONGEST_NAMES: Final = 48
"""PostgreSQL cuts a name at 63, and the number of the revision and of the index comes behind."""


class ProjectionTransaction:
    """What `apply` writes with. It is committed together with the checkpoint, or not at all."""

    def __init__(self, tx: Transaction, bound: "BoundProjection") -> None:
        self._tx, self._bound = tx, bound
        self._ended = False

    def table(self, declared: sa.Table) -> sa.Table:
        """A declared table under its name in the revision that is being written.

        Raises: ConfigurationError: the projection does not declare it.
        """
        return self._bound.table(declared)

    async def execute(
        self, statement: sa.Executable, parameters: Parameters | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Run one statement of SQLAlchemy Core over `table(...)`; the rows, if it returns any.

        Raises: StoreClosed: its events were applied already, by another task than this one.
        """
        if self._ended:
            raise StoreClosed("the transaction is over: `apply` must await all that it writes")
        return await self._tx.execute(statement, parameters)

    def end(self) -> None:
        """Let nothing be written any more: it would be outside of the transaction."""
        self._ended = True


Apply = Callable[[ProjectionTransaction, E, RecordedEvent], Awaitable[None]]


class Projection(ReadModel):
    """A read model of any number of tables, written by statements of your own.

    Args:
        name: of the projection.
        events: the families whose events it gets; all of their types.
        tables: SQLAlchemy tables with their indexes. Each revision has its own, so statements go
            to `tx.table(declared)`, queries to `rows.table(projection, declared)`. A table needs
            a column for the tenant (`recorded.tenant`) where there are tenants.
        apply: `async (tx, event, recorded)`. It must depend on nothing but the events and the
            tables: it runs again after a crash, and over the whole log for a new revision.
        version: stands for the rule in the fingerprint, instead of the source code of `apply`.
        max_lag: how old the oldest event may be that is not in the tables yet.
        rebuild: as that of a view.

    Raises:
        ConfigurationError: a table has a name that cannot be, or a fingerprint cannot be made.
    """

    def __init__(
        self,
        name: str,
        *,
        events: Sequence[Events[E]],
        tables: Sequence[sa.Table],
        apply: Apply[E],
        max_lag: timedelta = MAX_LAG,
        version: str | None = None,
        rebuild: Rebuild = "auto",
    ) -> None:
        self.tables = tuple(tables)
        for table in self.tables:
            check_table_name("table", table.name)
            if len(name) + len(table.name) > _LONGEST_NAMES:
                raise ConfigurationError(
                    f"projection {name}, table {table.name}: write at most {_LONGEST_NAMES}"
                    " characters for both names together"
                )
            if table.foreign_key_constraints:
                raise ConfigurationError(
                    f"table {table.name}: leave out foreign keys, name columns"
                )
        if len({table.name for table in self.tables}) < len(self.tables) or not self.tables:
            raise ConfigurationError(f"projection {name}: tables= takes tables of different names")
        super().__init__(
            name,
            events=events,
            rule=(apply,),
            version=version,
            shape=self.tables,
            max_lag=max_lag,
            rebuild=rebuild,
        )
        self._apply = apply

    def bind(
        self,
        revision: int,
        dialect: sa.Dialect,  # noqa: ARG002
        *,
        partition: int | None = None,  # noqa: ARG002 - a projection is never split
    ) -> "BoundProjection":
        metadata = sa.MetaData()
        tables = {
            table.name: _revised(table, metadata, revised(f"{self.name}_{table.name}", revision))
            for table in self.tables
        }
        return BoundProjection(tables, self._apply)


@dataclass(frozen=True, slots=True, eq=False)
class BoundProjection:
    """A projection with the tables of one revision, by their declared names."""

    by_name: Mapping[str, sa.Table]
    apply_one: Apply[Any]

    @property
    def tables(self) -> Sequence[str]:
        return [table.name for table in self.by_name.values()]

    @property
    def keyed(self) -> Sequence[ViewTable]:
        return ()

    def table(self, declared: sa.Table) -> sa.Table:
        found = self.by_name.get(declared.name)
        if found is None:
            raise ConfigurationError(f"table {declared.name} is not in tables= of the projection")
        return found

    async def create(self, tx: Transaction) -> None:
        for table in next(iter(self.by_name.values())).metadata.sorted_tables:
            await tx.create(table)

    def remembering(self) -> "BoundProjection":
        return self

    async def prepare(
        self,
        snapshot: Loading,  # noqa: ARG002
        decoded: Sequence[Decoded],
        aside: Aside | None = None,  # noqa: ARG002 - there are no keys
    ) -> Write:
        """Nothing to prepare: the statements read what those before them wrote."""
        return partial(self._write, decoded)

    async def _write(self, decoded: Sequence[Decoded], tx: Transaction) -> None:
        writing = ProjectionTransaction(tx, self)
        try:
            await self._apply_all(writing, decoded)
        finally:
            writing.end()

    async def _apply_all(self, tx: ProjectionTransaction, decoded: Sequence[Decoded]) -> None:
        for number, (recorded, event) in enumerate(decoded, 1):
            try:
                await self.apply_one(tx, event, recorded)
            except StoreError:
                raise
            except Exception as error:
                raise Unapplied(recorded.position) from error
            if number % _SLICE == 0:
                await asyncio.sleep(0)


def _revised(table: sa.Table, metadata: sa.MetaData, name: str) -> sa.Table:
    """A copy under another name; its indexes, whose names are the database's, get new ones too."""
    copied = table.to_metadata(metadata, name=name)
    for number, index in enumerate(sorted(copied.indexes, key=lambda each: str(each.name))):
        index.name = sa.quoted_name(f"{name}__{number}", quote=None)
    return copied
