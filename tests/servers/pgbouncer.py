"""PgBouncer in transaction mode: from the system, or unpacked from the distribution's packages."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from examples.postgres import PostgresTrouble, free_port, unprivileged, wait_for

_CONFIGURATION: Final = """
[databases]
* = host=127.0.0.1 port={server_port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
server_login_retry = 1
logfile = {folder}/pgbouncer.log
"""


class NoPgBouncer(Exception):
    """It is neither on this machine nor to be had; the message says why."""


def program() -> tuple[Path, dict[str, str]]:
    """The executable, and the environment that it needs to find its libraries.

    Raises:
        NoPgBouncer: it is not there and could not be fetched.
    """
    if found := shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return Path(found), {}
    folder = _unpacked()
    libraries = sorted({str(each.parent) for each in folder.glob("usr/lib/**/*.so*")})
    return folder / "usr/sbin/pgbouncer", {"LD_LIBRARY_PATH": ":".join(libraries)}


def _unpacked() -> Path:
    """A folder with the unpacked packages, fetched once for each user of this machine."""
    target = Path(tempfile.gettempdir()) / f"diptych-pgbouncer-{os.geteuid()}"
    if target.exists() and target.stat().st_uid == os.geteuid():
        return target
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NoPgBouncer("no pgbouncer on the PATH, and no apt-get to fetch it with")
    making = Path(tempfile.mkdtemp(prefix="diptych-pgbouncer-"))
    try:
        _fetch(making, "pgbouncer")
        _fetch(making, *_missing_libraries(making / "usr/sbin/pgbouncer"))
        making.chmod(0o755)
        making.rename(target)
    except OSError:  # another process was first
        if not target.exists():
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target


def _missing_libraries(executable: Path) -> list[str]:
    """The packages of all its libraries, if one of them is not on this machine."""
    if "not found" not in _said("ldd", str(executable)):
        return []
    words = _said("apt-cache", "depends", "--important", "pgbouncer").split()
    return [word for word in words if word.startswith("lib") and word != "libc6"]


def _fetch(folder: Path, *packages: str) -> None:
    if not packages:
        return
    limits = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10")
    _said("apt-get", *limits, "download", *packages, cwd=folder)
    for archive in folder.glob("*.deb"):
        _said("dpkg", "-x", str(archive), str(folder))
        archive.unlink()


def _said(*command: str, cwd: Path | None = None) -> str:
    ended = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    if ended.returncode:
        last = (ended.stderr.strip() or "no reason given").splitlines()[-1]
        raise NoPgBouncer(f"pgbouncer is not here, and {command[0]} could not get it: {last}")
    return ended.stdout


@contextmanager
def pgbouncer(server_url: str, *, pool_size: int = 20) -> Iterator[str]:
    """The URL by which the database at `server_url` is reached through a PgBouncer of its own."""
    executable, libraries = program()
    port, server = free_port(), urlsplit(server_url)
    folder = Path(tempfile.mkdtemp(prefix="diptych-bouncer-"))
    folder.chmod(0o777)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(
            server_port=server.port, port=port, pool_size=pool_size, folder=folder
        )
    )
    configuration.chmod(0o644)
    rights = unprivileged()
    rights["env"] = {**rights.get("env", {}), **libraries}
    process = subprocess.Popen([str(executable), "-q", str(configuration)], **rights)
    try:
        wait_for(lambda: _listens(port, process), timeout=30, what="PgBouncer to start")
        yield f"postgresql://postgres@127.0.0.1:{port}{server.path}"
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise PostgresTrouble(f"PgBouncer ended while starting, with {process.returncode}")
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0
