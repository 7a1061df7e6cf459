"""PostgreSQL servers for tests: killed, restarted, copied as standbys and promoted at will."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final, Self

from examples.postgres import (
    Installation,
    PostgresTrouble,
    PrivatePostgres,
    installations,
    wait_for,
)
from tests.servers.processes import children_of, end_at_once

SETTINGS: Final = (
    "max_connections=200",
    "shared_buffers=32MB",
    "wal_retrieve_retry_interval=100ms",
    "wal_receiver_status_interval=1s",
    "max_wal_senders=10",
    "max_wal_size=256MB",
    "min_wal_size=32MB",
    "dynamic_shared_memory_type=mmap",  # in the data folder: a killed server leaves nothing behind
    "logging_collector=off",
)
_ROOM: Final = 4 << 30
PASSWORD_ROLE: Final = "with_password"
"""Roles that are members of this one must give their password (scram-sha-256)."""
_RULES: Final = f"""
host all +{PASSWORD_ROLE} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""

__all__ = ["Installation", "PostgresServer", "PostgresTrouble", "installations", "own_server"]


class PostgresServer(PrivatePostgres):
    """A server of its own in a temporary folder; `fsync` is on, as in production.

    All methods block: in a test with running tasks, call them with `asyncio.to_thread`.
    """

    def __init__(self, installation: Installation | None = None, *, name: str = "primary") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="diptych-pg-", dir=_fast_folder()))
        self.folder.chmod(0o755)
        super().__init__(self.folder / "data", installation=installation)
        self.name = name
        self._settings: tuple[str, ...] = ()
        self._numbers = count(1)
        self._source = ""

    @classmethod
    def started(cls, installation: Installation | None = None, *settings: str) -> Self:
        """A new, empty server that accepts connections."""
        server = cls(installation)
        try:
            server.create("--no-sync")
            (server.data / "pg_hba.conf").write_text(_RULES)
            server.start(*settings)
            server.execute(f"CREATE ROLE {PASSWORD_ROLE}")
        except BaseException:
            server.remove()
            raise
        return server

    def start(self, *settings: str, timeout: float = 60.0) -> None:
        self._settings = settings
        super().start(*SETTINGS, *settings, timeout=timeout)

    def restart(self, mode: str = "fast") -> None:
        """Stop and start again, at the same port, with the same settings."""
        self.stop(mode)
        self.start(*self._settings)

    def kill(self) -> None:
        """kill -9 of the postmaster and of all its processes at once, as a lost machine."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(signal.SIGSTOP)  # or it has more children than we counted
        end_at_once([self._process.pid, *children_of(self._process.pid)], reap=self._process.wait)

    def freeze(self) -> None:
        """Stop all its processes where they are, as a machine that hangs: sockets stay open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze()`, as if no time had passed."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, which: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(which)
            for child in children_of(self._process.pid):
                with suppress(ProcessLookupError):  # it has ended since
                    os.kill(child, which)

    def kill_backend(self, pid: int) -> None:
        """kill -9 of one backend: the postmaster then ends all others and recovers."""
        os.kill(pid, signal.SIGKILL)

    def create_database(self, *, template: str = "template0") -> str:
        """The URL of a new database."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop it, also when somebody is still connected."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def standby(self, name: str = "standby", *settings: str) -> "PostgresServer":
        """A running streaming standby of this server, asynchronous until `replicate_to` says so."""
        copy = PostgresServer(self.installation, name=name)
        source = f"host=127.0.0.1 port={self.port} user=postgres application_name={name}"
        try:
            copy.receive(source)
            copy.start(*settings)
            self.wait_until_streaming(name)
        except BaseException:
            copy.remove()
            raise
        return copy

    def receive(self, source: str) -> None:
        """Fill the empty data folder with a base backup of the server at `source`."""
        self._source = source
        self.folder.chmod(0o777)  # pg_basebackup makes the data folder itself
        self.installation.run(
            "pg_basebackup", "-d", source, "-D", str(self.data), "-R", "--no-sync",
            "--checkpoint=fast", "--wal-method=stream",
        )  # fmt: skip
        self.folder.chmod(0o755)

    def replicate_to(self, *names: str, level: str = "on") -> None:
        """Let every commit from now on wait for the standbys of these names."""
        self.execute(
            f"ALTER SYSTEM SET synchronous_standby_names = '{', '.join(names)}'",
            f"ALTER SYSTEM SET synchronous_commit = '{level}'",
            "SELECT pg_reload_conf()",
        )
        wait_for(lambda: self._synchronous() >= len(names), timeout=30, what="synchronous standbys")

    def _synchronous(self) -> int:
        sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
        return int(self.execute(sql))

    def wait_until_streaming(self, name: str) -> None:
        sql = (
            "SELECT count(*) FROM pg_stat_replication"
            f" WHERE application_name = '{name}' AND state = 'streaming'"
        )
        wait_for(lambda: self.execute(sql) == "1", timeout=30, what=f"{name} to stream")

    def detach(self) -> None:
        """Make this standby receive nothing more; its primary does not notice by itself."""
        self._receive_from("")
        receivers = "SELECT count(*) FROM pg_stat_wal_receiver"
        wait_for(lambda: self.execute(receivers) == "0", timeout=30, what="replication to end")

    def attach(self) -> None:
        """Receive again, after `detach()`."""
        self._receive_from(self._source)

    def _receive_from(self, source: str) -> None:
        self.execute(f"ALTER SYSTEM SET primary_conninfo = '{source}'", "SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make this standby the primary; returns when it accepts writes."""
        self.execute("SELECT pg_promote(true, 60)")

    def remove(self) -> None:
        """Stop at once and delete the data."""
        self.thaw()
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


def _fast_folder() -> str | None:
    """In memory where there is plenty: what tests kill are processes, and those keep its files."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM else None


@contextmanager
def own_server(
    installation: Installation | None = None, *settings: str
) -> Iterator[PostgresServer]:
    """A server that one test may do anything to; removed afterwards."""
    server = PostgresServer.started(installation, *settings)
    try:
        yield server
    finally:
        server.remove()
