"""SQLAlchemy over asyncpg connections that are open already."""

import asyncio
from importlib import import_module
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from diptych.errors import ConfigurationError
from diptych.postgres_library.driver import Connection as Driver
from diptych.postgres_library.driver import driver


class Cores:
    """Makes SQLAlchemy connections (`AsyncConnection`) over driver connections that are open.

    SQLAlchemy's asyncio is imported here, because it cannot be without greenlet.

    One engine for all of them, so that each statement is compiled once. It is told that every
    statement commits by itself, so it never sends BEGIN or COMMIT: we do. Behind a pooler
    prepared statements get names that no other process uses.

    Raises: ConfigurationError: a package is not installed.
    """

    def __init__(self, *, pooler: bool) -> None:
        driver()
        try:
            asynchronous: Any = import_module("sqlalchemy.ext.asyncio")
        except ImportError as error:
            raise ConfigurationError(
                "postgresql:// needs greenlet: pip install 'diptych[postgres]'"
            ) from error
        self._options: dict[str, Any] = {"async_creator_fn": self._take}
        if pooler:
            self._options |= {
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": lambda: f"diptych_{uuid4().hex}",
            }
        self._next: Driver | None = None
        self._turn = asyncio.Lock()
        self._engine: Any = asynchronous.create_async_engine(
            "postgresql+asyncpg://",
            creator=self._create,
            poolclass=sa.NullPool,
            isolation_level="AUTOCOMMIT",
        )

    @property
    def dialect(self) -> sa.Dialect:
        dialect: sa.Dialect = self._engine.dialect
        return dialect

    async def over(self, connection: Driver) -> Any:
        """It belongs to its caller: SQLAlchemy's pool forgets it, and does not close it."""
        async with self._turn:
            self._next = connection
            core = await self._engine.connect()
        sync: Any = core.sync_connection
        sync.detach()
        return core

    def _create(self) -> Any:
        dbapi: Any = self._engine.dialect.dbapi
        return dbapi.connect(**self._options)

    async def _take(self) -> Any:
        """Once for each: SQLAlchemy must not connect by itself to replace a connection."""
        taken, self._next = self._next, None
        if taken is None:
            raise OSError("the connection was lost")
        return taken
