"""One connection to a server that is fit for use: the primary, new enough, in UTF-8."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, cast

from diptych.errors import ConfigurationError, DiptychError, StorageReadOnly, StorageUnavailable
from diptych.postgres_library.driver import Connection, driver
from diptych.postgres_library.errors import translate
from diptych.postgres_library.url import PostgresUrl

OLDEST: Final = 14
"""The first major version that this was written for."""
_CHECK: Final = """
SELECT pg_is_in_recovery(), current_setting('server_version_num')::int / 10000,
    current_setting('server_encoding')
"""

_GRACE: Final = 0.5
"""Seconds in which other hosts may still say that they are the newer primary."""
_IN_UTF8: Final = "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a connection is for.

    `name` is what `pg_stat_activity` calls it. `settings` are given when it starts; a pooler would
    refuse them, so there they are left out: nothing may depend on them but speed. With `standby` a
    server that can only be read is good enough. Each host is given `seconds` to let us in, and as
    many to say what it is.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    standby: bool = False
    seconds: float = 5.0


async def connect(url: PostgresUrl, wanted: Wanted) -> Connection:
    """A connection to one of the URL's hosts that is fit for it: the first of them, if several are.

    Raises: StoreError, ConfigurationError: none of them is; the message says why not.
    """
    if len(url.dsns) == 1:
        return await _connect_to(url.dsns[0], url, wanted)
    attempts = [asyncio.create_task(_connect_to(dsn, url, wanted)) for dsn in url.dsns]
    try:
        await _answered(attempts)
    except BaseException:
        for made in (await _ended(attempts))[0]:
            made.terminate()
        raise
    connections, errors = await _ended(attempts)
    fit = [each for each in connections if not each.is_closed()]
    for other in fit[1:]:
        other.terminate()
    if fit:
        return fit[0]
    # That a host does not answer says more than that another one is a standby.
    errors = errors or [StorageUnavailable(f"{url.shown}: a connection was lost at once")]
    raise next((each for each in errors if isinstance(each, StorageUnavailable)), errors[0])


async def _answered(attempts: Sequence[asyncio.Task[Connection]]) -> None:
    """Wait for all hosts; where one is fit, not for long. A machine that hangs never answers."""
    pending, found = set(attempts), False
    while pending:
        done, pending = await asyncio.wait(
            pending, timeout=_GRACE if found else None, return_when=asyncio.FIRST_COMPLETED
        )
        found = found or any(each.exception() is None for each in done)
        if not done:
            return


async def _ended(
    attempts: Sequence[asyncio.Task[Connection]],
) -> tuple[list[Connection], list[Exception]]:
    """What came of them, in the order of the hosts; who has not answered by now is left."""
    for attempt in attempts:
        attempt.cancel()
    results = await asyncio.gather(*attempts, return_exceptions=True)
    errors = [each for each in results if isinstance(each, Exception)]
    return [each for each in results if not isinstance(each, BaseException)], errors


async def _connect_to(dsn: str, url: PostgresUrl, wanted: Wanted) -> Connection:
    settings = {} if url.pooler else wanted.settings
    more = {"statement_cache_size": 0} if url.pooler else {}
    try:
        connection = await driver().connect(
            dsn,
            timeout=wanted.seconds,
            server_settings={**settings, "application_name": wanted.name},
            **more,
        )
    except DiptychError:
        raise
    except Exception as error:
        raise translate(error, url.shown) from error
    try:
        async with cut_off(connection, wanted.seconds):
            _refuse_unfit(tuple(await connection.fetchrow(_CHECK)), url, wanted)
            if len(url.dsns) > 1 and not wanted.standby:
                await _refuse_replaced(connection, url)
    except BaseException as error:
        connection.terminate()
        if isinstance(error, Exception):
            raise translate(error, url.shown) from error
        raise
    return cast("Connection", connection)


async def _refuse_replaced(connection: Connection, url: PostgresUrl) -> None:
    if not await url.primary.accepts(connection):
        raise StorageReadOnly(f"{url.shown}: a former primary is back: make it a standby")


def _refuse_unfit(found: tuple[bool, int, str], url: PostgresUrl, wanted: Wanted) -> None:
    standby, version, encoding = found
    if standby and not wanted.standby:
        raise StorageReadOnly(
            f"{url.shown}: is a standby, which can only be read: name the primary"
        )
    if version < OLDEST:
        raise ConfigurationError(f"{url.shown}: PostgreSQL {version} is too old: {OLDEST} or newer")
    if encoding != "UTF8":
        raise ConfigurationError(f"{url.shown}: the database is in {encoding}: {_IN_UTF8}")


@asynccontextmanager
async def cut_off(connection: Connection, deadline: float) -> AsyncGenerator[None]:
    """End the connection if what is done inside takes longer: half of a network may be gone."""
    watchdog = asyncio.get_running_loop().call_later(deadline, connection.terminate)
    try:
        yield
    finally:
        watchdog.cancel()


async def farewell(connection: Connection) -> None:
    """Close it in good order, so that the server does not report a lost client; not for long."""
    try:
        await connection.close(timeout=1.0)
    except Exception:  # noqa: BLE001 - it is gone, which is what was wanted
        connection.terminate()
