"""One connection to a server that is fit for use: the primary, new enough, in UTF-8."""

from collections.abc import Mapping
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

_IN_UTF8: Final = "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a connection is for.

    `name` is what `pg_stat_activity` calls it. `settings` are given when it starts; a pooler would
    refuse them, so there they are left out: nothing may depend on them but speed. With `standby` a
    server that can only be read is good enough. `seconds` are allowed for each host.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    standby: bool = False
    seconds: float = 5.0


async def connect(url: PostgresUrl, wanted: Wanted) -> Connection:
    """A connection to the first of the URL's hosts that is fit for it.

    Raises: StoreError, ConfigurationError: none of them is; the message says why not.
    """
    errors: list[DiptychError] = []
    for dsn in url.dsns:
        try:
            return await _connect_to(dsn, url, wanted)
        except DiptychError as error:
            errors.append(error)
    # That a host does not answer says more than that another one is a standby.
    raise next((each for each in errors if isinstance(each, StorageUnavailable)), errors[0])


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
        _refuse_unfit(tuple(await connection.fetchrow(_CHECK)), url, wanted)
    except BaseException as error:
        connection.terminate()
        if isinstance(error, Exception):
            raise translate(error, url.shown) from error
        raise
    return cast("Connection", connection)


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


async def farewell(connection: Connection) -> None:
    """Close it in good order, so that the server does not report a lost client; not for long."""
    try:
        await connection.close(timeout=1.0)
    except Exception:  # noqa: BLE001 - it is gone, which is what was wanted
        connection.terminate()
