"""The log in a PostgreSQL database.

Theory of operation
-------------------
One connection appends. `GroupCommit` hands it a batch, `Committer` sends the batch in one call of
the function `append_1`, and the answer to that call is the commit. The function takes an advisory
lock that belongs to this log and is held until the commit is visible. So positions are `last + 1`,
have no holes, and are in commit order, whichever process appends; nothing else in the server is
waited for. It decides each member against the tables and the members before it.

Other connections read, a statement for each answer. Loads that arrive while one is answered are
answered together.

Nothing depends on the state of a session but speed, so all of it works behind PgBouncer in
transaction mode too. The one thing that is missing there is LISTEN.

Followers of this process are woken by its commits. Other processes are told by NOTIFY, sent after
the commit and without content: it means "look". In case it is lost, who waits looks twice a second;
while nothing can be heard at all, every 20 ms.

What can go wrong is described where it is dealt with: commits in `committing`, reads in
`postgres_library.pool`. Both try again, for a bounded time, what a restart or a failover explains.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self
from uuid import UUID

import sqlalchemy as sa

from diptych.clock import Clock
from diptych.errors import DiptychError, InvalidInput, StoreClosed
from diptych.postgres_library.driver import driver
from diptych.postgres_library.pool import DEADLINE, PATIENCE
from diptych.postgres_library.url import PostgresUrl
from diptych.store.contract import (
    START,
    Append,
    Appended,
    CommandKey,
    Criterion,
    Load,
    Loaded,
    LogPage,
    Point,
    RecordedCommand,
)
from diptych.store.cursors import Cursors
from diptych.store.group_commit import Commits
from diptych.store.limits import check_key, check_load, check_read
from diptych.store.migrating import Migrated
from diptych.store.postgres.opened import Access, OpenLog, migrate_log, open_log
from diptych.store.postgres.reading import PAGE_EVENTS, Wanted
from diptych.store.postgres.snapshots import PostgresSnapshots


class PostgresEventStore:
    """A log in the schema of a PostgreSQL database, for any number of processes and machines.

    `url` is `postgresql://user:password@host:port/database`; see `PostgresUrl` for several hosts,
    `?schema=` (default `diptych`) and `?pooler=transaction`. What of the schema is not there is
    created, and an older log is brought up to the schema of this code, unless `migrates` is set to
    False before it is opened. `readers` connections read, one appends, one listens. A server that
    is away is tried again for `patience` seconds, by reads and appends alike; a call that it has
    not answered within `deadline` seconds counts as lost.

    Events are recorded at the time of the database server's clock; at that of `clock` if one is
    given, which is for tests. See `EventStore` for everything else.

    Raises: ConfigurationError: `url` is no such URL, or asyncpg is not installed.
    """

    dense = True

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        schema: str = "diptych",
        readers: int = 4,
        patience: float = PATIENCE,
        deadline: float = DEADLINE,
    ) -> None:
        driver()
        where = PostgresUrl.parse("log", url, schema=schema)
        self._access = Access(where, clock, readers, patience, deadline)
        self.migrates = True
        self._opening = asyncio.Lock()
        self._opened: OpenLog | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def url(self) -> PostgresUrl:
        """Where the log is."""
        return self._access.url

    @property
    def log_id(self) -> UUID:
        return self._log.facts.log_id

    @property
    def durability(self) -> str:
        """As the server was set up when the log was opened."""
        return self._log.facts.durability

    @property
    def place(self) -> str:
        """Where the log is and how it is reached, in one line without a password."""
        return (
            f"{self.url.shown}, schema {self.url.schema}: 1 connection appends,"
            f" at most {self._access.readers} read, {'polling' if self.url.pooler else 'LISTEN'}"
        )

    @property
    def commits(self) -> Commits:
        """How many appends went into how many transactions, in this process."""
        return self._log.group.commits

    @property
    def cursors(self) -> Cursors:
        return self._log.cursors

    async def open(self) -> None:
        """Raises: StoreError: the database cannot hold the log; the message says what to do."""
        async with self._opening:
            if self._opened is None:
                self._opened = await open_log(self._access, migrate=self.migrates)

    async def migrate(self) -> Migrated:
        """Bring the schema up to that of this code, whatever `migrates` says; tell what it was.

        Raises: StoreError: as `open`.
        """
        return await migrate_log(self._access)

    async def close(self) -> None:
        log, self._opened = self._opened, None
        if log is not None:
            self._closing = asyncio.create_task(log.close())
        if self._closing is not None and not self._closing.done():
            # Who gives up leaves no connection open; who closes again waits for the same end.
            await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def append(self, append: Append) -> Appended:
        return await self._log.group.append(append)

    async def load(self, load: Load) -> Loaded:
        check_load(load)
        return await self._log.load(load)

    async def find(self, command: CommandKey) -> RecordedCommand | None:
        check_key(command)
        return await self._log.find(command)

    async def read(
        self,
        *,
        after: Point = START,
        limit: int = 1000,
        categories: frozenset[str] | None = None,
        criteria: tuple[Criterion, ...] | None = None,
        tenant: str | None = None,
    ) -> LogPage:
        check_read(after, limit, criteria, tenant)
        for category in categories or ():
            _check_text(category)
        limit = min(limit, PAGE_EVENTS)
        return await self._log.reader.page(Wanted(after, limit, categories, criteria, tenant))

    async def head(self) -> Point:
        return await self._log.reader.head()

    async def moved(self, after: int) -> None:
        await self._log.signal.moved(after)

    @property
    def snapshots(self) -> PostgresSnapshots:
        return self._log.snapshots

    def append_within(
        self, connection: sa.Connection, appends: Sequence[Append]
    ) -> Sequence[Appended | DiptychError]:
        """Append in the open transaction of `connection`, whose caller commits or rolls back.

        One answer for each member. It takes the lock of the log, until the transaction ends, and
        sees to it that the commit is durable. `committed` has to be called after it.

        Raises:
            ConfigurationError: the connection leads to another database, or its isolation level
                is not READ COMMITTED.
        """
        return self._log.joiner.append(connection, appends)

    def committed(self) -> None:
        """Wake who follows the log, after a commit that was not made here; from any thread.

        Never raises: what is committed is committed, also while this store closes.
        """
        if self._opened is not None:
            with suppress(RuntimeError):  # its event loop is closed
                self._opened.committed()

    @property
    def _log(self) -> OpenLog:
        if self._opened is None:
            raise StoreClosed(f"{self.url.shown}: the log is not open")
        return self._opened


def _check_text(category: str) -> None:
    """Raises: InvalidInput: no text column holds it."""
    try:
        category.encode()
    except UnicodeError as error:
        raise InvalidInput("categories", "must be Unicode text") from error
    if "\0" in category:
        raise InvalidInput("categories", "must not have NUL characters")
