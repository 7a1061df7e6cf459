"""The seam of the read database: what the projector and the queries ask of SQLite or PostgreSQL.

The seam is for the backends of this package and may change in any version. Values are the
driver's (`RowLayout` makes them); a driver's error arrives as a `StoreError`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import sqlalchemy as sa

from diptych.errors import (
    CheckpointDiverged,
    DiptychError,
    InvalidInput,
    ProjectionStopped,
    ViewPaused,
)
from diptych.read.blocker import Blocker
from diptych.read.table import ViewTable
from diptych.store.contract import Point

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Wanted(NamedTuple):
    """A view or projection as this version of the code knows it."""

    view: str
    fingerprint: str


class Slot(NamedTuple):
    """Names a checkpoint. A view that is not split has the one partition 0."""

    view: str
    revision: int
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a slot is, and the epoch of who took it over last.

    `acts` counts what operators did to its rows, `parked_keys` those whose events are set aside.
    """

    slot: Slot
    epoch: int
    point: Point
    acts: int = 0
    parked_keys: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a view, or the partition of it that was stopped first, does not go on from `reached`.

    `position` is that of the event. `diverged`: it shows events that the log does not have. With
    `paused_at` it is no event: an operator has paused the view, and readiness says so by itself.
    """

    position: int
    reason: str
    diverged: bool
    reached: int
    paused_at: str | None = None

    def bars(self, wanted: int) -> bool:
        """Whether the view will not get to a position; the other partitions may get further."""
        return self.diverged or self.reached < wanted

    def error(self, view: str) -> DiptychError:
        if self.paused_at is not None:
            return ViewPaused(view, since=self.paused_at, reached=self.reached)
        if self.diverged:
            return CheckpointDiverged(view, position=self.position)
        return ProjectionStopped(view, position=self.position, reason=self.reason)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a view stands in one snapshot: which revision serves it, and how far that one is.

    `serving` is False until the revision has once caught up. With several partitions `point` is
    that of the last one, and `stop` that of any of them. `parked` counts keys, of all tenants.
    """

    revision: int
    serving: bool
    point: Point
    stop: Stop | None = None
    parked: int = 0


class Loading(Protocol):
    """What rows are looked up in: a snapshot, or a transaction with what it has written itself."""

    async def load(
        self, table: ViewTable, keys: Sequence[tuple[object, ...]]
    ) -> Sequence[Sequence[object]]:
        """The rows under these full keys, in any order: the tenant, then `table.fields`, then
        `_version`."""
        ...


class RowRefused(Exception):
    """The database cannot hold one of the rows it was given, whenever that is: most likely `row`,
    for `problem`."""

    def __init__(self, row: Sequence[object], problem: InvalidInput) -> None:
        super().__init__(str(problem))
        self.row, self.problem = row, problem


class Transaction(Loading, Protocol):
    """One write transaction; it is committed when its block ends and rolled back if it raises."""

    async def execute(
        self, statement: sa.Executable, parameters: Parameters | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Run one statement of SQLAlchemy Core; the rows, if it returns any.

        Raises: StoreError: the database cannot do it now. Anything else that SQLAlchemy raises
            (a broken constraint, wrong SQL) is the statement's own fault and comes as it is. On
            PostgreSQL the whole transaction has failed then, so write upserts rather than `try`.
        """
        ...

    async def create(self, table: sa.Table | ViewTable) -> None:
        """Create a table with its indexes."""
        ...

    async def insert(self, table: ViewTable, rows: Sequence[tuple[object, ...]]) -> None:
        """Add rows that are not there, each with the values of `table.saved`.

        Raises: RowRefused: a value is too large for the database, or for one of its indexes.
        """
        ...

    async def update(self, table: ViewTable, rows: Sequence[tuple[object, ...]]) -> None:
        """Replace rows that are there. None as text to search keeps the text as it is.

        Raises: RowRefused.
        """
        ...

    async def remove(self, table: ViewTable, keys: Sequence[tuple[object, ...]]) -> None:
        """Delete the rows under these full keys."""
        ...

    async def drop(self, name: str) -> None:
        """Drop a table that `create` made, with all that belongs to it, if it is there."""
        ...

    async def advance(self, checkpoint: Checkpoint, to: Point, *, at: str) -> bool:
        """Move a checkpoint on; False if it is not as given: then somebody else took over, or an
        operator has changed rows of it."""
        ...


class Snapshot(Loading, Protocol):
    """One read-only snapshot. `standings` was read by its first statement."""

    @property
    def standings(self) -> Mapping[Wanted, Standing]: ...

    async def get(self, table: ViewTable, key: tuple[object, ...]) -> Sequence[object] | None:
        """The row under a full key: `table.fields`, then `_position` and `_version`."""
        ...

    async def select(
        self, statement: sa.Select[Any], values: Mapping[str, object]
    ) -> Sequence[Sequence[object]]:
        """The driver's rows of a statement that the caller keeps: it is compiled once.

        `values` has the driver's values of its named parameters, and may have others. Like
        `execute` it may be interrupted and begun again.
        """
        ...

    async def execute(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        """Run one reading statement of SQLAlchemy Core; it may be interrupted and begun again."""
        ...

    async def bytes_of(self, table: str, *, rows: int) -> int:
        """What a table of so many rows takes, as far as the database can tell."""
        ...


class ReadDatabase(Protocol):
    """Where views live: write transactions, and any number of snapshots beside them."""

    @property
    def dialect(self) -> sa.Dialect: ...

    async def open(self, *, log_id: UUID, migrate: bool = True) -> None:
        """Create what is missing, and check that this database follows that log.

        One that an older version wrote is brought to this one, unless `migrate` is False.

        Raises:
            HistoryDiverged: it was projected from another log.
            SchemaMismatch: it was written by another version of Diptych.
            StoreError: it cannot be opened.
        """
        ...

    async def close(self) -> None: ...

    @property
    def report(self) -> str:
        """One line for the operator: the database, its version, schema and connections."""
        ...

    def transaction(
        self, *, exclusive: bool = False, leasing: bool = False
    ) -> AbstractAsyncContextManager[Transaction]:
        """A write transaction; an `exclusive` one waits for all other exclusive ones.

        What only one process may do at a time (register a revision, create its tables) must be
        exclusive. Do not begin one transaction inside another: they share few connections.
        `leasing` has one of its own where there are several writers: a lease that waited for the
        long pages of projections would run out.
        """
        ...

    def snapshot(
        self,
        wanted: Sequence[Wanted] = (),
        *,
        projecting: bool = False,
        leasing: bool = False,
    ) -> AbstractAsyncContextManager[Snapshot]:
        """A snapshot that begins by reading how `wanted` stand; unregistered ones are left out.

        Projectors (`projecting`) have connections of their own: no query keeps them waiting.
        Nor does any projector keep `leasing` waiting.
        """
        ...

    async def glance(self, *, anyway: bool = False) -> Mapping[int, int] | None:
        """The positions of all revisions, or None if nothing was committed since the last call.

        A database that tells by itself when something was may not look but now and then, unless
        it is asked to do it `anyway`.
        """
        ...

    def listen(self, heard: Callable[[], None]) -> None:
        """Have `heard` called when another process says that it moved a checkpoint.

        It is only a hint, and on SQLite nothing can be heard: `glance` has to do.
        """
        ...

    async def blockers(self, tables: Sequence[str]) -> Sequence[Blocker]:
        """Who keeps writers of these tables waiting at this moment, as far as that can be told.

        It takes part in no lock and in no pool: it answers while all else waits.

        Raises: StoreError.
        """
        ...

    async def queries_ended(self, *, seconds: float) -> bool:
        """Wait for the queries that have begun by now, in any process, and whose tables would go
        away under them if they were dropped; False if that takes longer."""
        ...

    def matches(self, table: ViewTable) -> sa.ColumnElement[bool]:
        """The condition that each word of the parameter `words` begins a word of the row's text."""
        ...

    def term(self, words: Sequence[str]) -> str:
        """What `words` in `matches` stands for: normalised words as the database asks for them."""
        ...
