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
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import sqlalchemy as sa

from diptych.clock import Clock, SystemClock
from diptych.errors import DiptychError, InvalidInput, StoreClosed
from diptych.postgres_library.connection import Wanted as WantedConnection
from diptych.postgres_library.driver import driver
from diptych.postgres_library.errors import translate
from diptych.postgres_library.listening import Listener
from diptych.postgres_library.pool import PATIENCE, Pool
from diptych.postgres_library.url import PostgresUrl
from diptych.store.batching import Batcher
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
from diptych.store.group_commit import GroupCommit
from diptych.store.limits import check_key, check_load, check_read
from diptych.store.postgres.committing import Committer
from diptych.store.postgres.creating import Facts, identify
from diptych.store.postgres.join import Joiner
from diptych.store.postgres.reading import PAGE_EVENTS, Reader, Wanted
from diptych.store.postgres.statements import statements_for
from diptych.store.subscription import LogSignal

_LOADS: Final = 256
"""Loads that are answered together."""
_HEARING, _DEAF = 0.5, 0.02
"""Seconds between looks at the head while somebody waits: NOTIFY tells of most, or of nothing."""
_READING: Final = WantedConnection(
    "diptych read",
    {
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "jit": "off",
        "plan_cache_mode": "force_generic_plan",
        "statement_timeout": "0",
    },
)
"""Plans that are kept were often made while the tables were small: they must use the indexes."""


class PostgresEventStore:
    """A log in the schema of a PostgreSQL database, for any number of processes and machines.

    `url` is `postgresql://user:password@host:port/database`; see `PostgresUrl` for several hosts,
    `?schema=` (default `diptych`) and `?pooler=transaction`. What of the schema is not there is
    created. `readers` connections read, one appends, one listens. A server that is away is tried
    again for `patience` seconds, by reads and appends alike.

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
    ) -> None:
        driver()
        self._url = PostgresUrl.parse("log", url, schema=schema)
        self._clock, self._readers, self._patience = clock, readers, patience
        self._opening = asyncio.Lock()
        self._opened: _OpenLog | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def url(self) -> PostgresUrl:
        return self._url

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
        wakes = "polling" if self._url.pooler else "LISTEN"
        return (
            f"{self._url.shown}, schema {self._url.schema}: 1 connection appends,"
            f" at most {self._readers} read, {wakes}"
        )

    async def open(self) -> None:
        """Raises: StoreError: the database cannot hold the log; the message says what to do."""
        async with self._opening:
            if self._opened is None:
                self._opened = await self._open()

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
        return await self._log.loads.submit(load)

    async def find(self, command: CommandKey) -> RecordedCommand | None:
        check_key(command)
        return await self._log.reader.find(command)

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
        """Wake who follows the log, after a commit that was not made here; from any thread."""
        self._log.committed()

    @property
    def _log(self) -> "_OpenLog":
        if self._opened is None:
            raise StoreClosed(f"{self._url.shown}: the log is not open")
        return self._opened

    async def _open(self) -> "_OpenLog":
        sql = statements_for(self._url.schema)
        pool = Pool(self._url, _READING, size=self._readers, patience=self._patience)
        try:
            async with pool.connection() as connection:
                facts = await identify(connection, self._url, sql, self._clock or SystemClock())
        except Exception as error:
            raise translate(error, self._url.shown) from error
        url, clock, log_id = self._url, self._clock, facts.log_id
        return _OpenLog(
            facts,
            reader=Reader(pool, sql),
            committer=Committer(url, sql, log_id, clock=clock, patience=self._patience),
            joiner=Joiner(sql, log_id=log_id, shown=url.shown, clock=clock),
            listener=Listener(url, f"{url.schema}_log"),
        )


class _OpenLog:
    """A log that is open, for one event loop."""

    def __init__(
        self,
        facts: Facts,
        *,
        reader: Reader,
        committer: Committer,
        joiner: Joiner,
        listener: Listener,
    ) -> None:
        self.facts, self.reader, self.joiner = facts, reader, joiner
        self._committer, self._listener = committer, listener
        self.signal = LogSignal(poll=reader.head_position, interval=self._interval)
        self.group = GroupCommit(self._commit)
        self.loads = Batcher(reader.loads, max_items=_LOADS, failed=_failed)
        committer.on_reconnect = self.signal.look
        listener.start(self.signal.look)
        self._loop = asyncio.get_running_loop()

    def committed(self) -> None:
        self._loop.call_soon_threadsafe(self.signal.look)
        self._loop.call_soon_threadsafe(self._listener.notify)

    async def close(self) -> None:
        await self.group.close()
        await self.loads.close()
        await self.signal.close()
        await self._listener.stop()
        await self._committer.close()
        await self.reader.close()

    async def _commit(self, batch: Sequence[Append]) -> Sequence[Appended | Exception]:
        answers = await self._committer.commit(batch)
        head = max(
            (each.point.position for each in answers if isinstance(each, Appended)), default=0
        )
        self.signal.announce(head)
        self._listener.notify()
        return answers

    def _interval(self) -> float:
        return _HEARING if self._listener.live else _DEAF


def _check_text(category: str) -> None:
    """Raises: InvalidInput: no text column holds it."""
    try:
        category.encode()
    except UnicodeError as error:
        raise InvalidInput("categories", "must be Unicode text") from error
    if "\0" in category:
        raise InvalidInput("categories", "must not have NUL characters")


def _failed(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else StoreClosed("closed while reading")
