"""What a document shows: files, Python, and sessions at a prompt, to be done as a reader would.

A block behind `<!-- name.py -->` is the file of that name; behind `<!-- from path.py -->` it is
lines of a file of the repository. Other Python of a document is one module. What is behind a
comment that says `run by tests/…` is left to that test.
"""

import ast
import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType, ModuleType

from tests.acceptance.process import ROOT, environment_of

_BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILES_OF = re.compile(r"<!-- files of (\S+) -->")
_INSTALLS = re.compile(r"python3? -m venv |\. \S+/activate|pip install ")
_EXPORTED = ".exported"
_BEFORE = f"""
diptych() {{ {sys.executable} -m diptych.cli "$@"; }}
if [ -f {_EXPORTED} ]; then . ./{_EXPORTED}; fi
"""
_AFTER = f"export -p > {_EXPORTED}"
_PORT = "8000"
_VARIES = (
    (r"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}", "ID"),
    (r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|\+00:00)", "TIME"),
    (r"[\d.,]+ ?(s|min|h)\b", "AGE"),
    (r"[\d.,]+ k?B\b", "SIZE"),
    (r"\b[\w.-]+/\d+\b", "HOST/PID"),
    (r" +", " "),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the comment before it, its language, its text, and the line it begins at."""

    comment: str
    language: str
    text: str
    line: int

    @property
    def quoted(self) -> Path | None:
        """The file that it shows lines of."""
        found = re.fullmatch(r"from (\S+)", self.comment)
        return ROOT / found[1] if found else None

    @property
    def test(self) -> str | None:
        """The test that runs it, if it is not run with its page."""
        found = re.search(r"run by (tests/\S+\.py)", self.comment)
        return found[1] if found else None


class Page:
    """One document of the repository."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, path.read_text("utf-8")
        self.blocks = [
            Block(found[1] or "", found[2], found[3], self.text.count("\n", 0, found.start(3)) + 1)
            for found in _BLOCK.finditer(self.text)
        ]

    @property
    def files(self) -> dict[str, str]:
        """The files that it shows, with those of the page that it goes on from."""
        own = {each.comment: each.text for each in self.blocks if _is_file(each)}
        for other in _FILES_OF.findall(self.text):
            own = {**Page(self.path.parent / other).files, **own}
        return own

    @property
    def python(self) -> str:
        """The Python that is no file, each line where the page has it."""
        lines: list[str] = []
        for each in self._loose("python"):
            lines.extend([""] * (each.line - 1 - len(lines)))
            lines.extend(each.text.splitlines())
        return "\n".join(lines)

    @property
    def commands(self) -> list[tuple[str, str]]:
        """What is typed, each with what is printed then."""
        parts = [
            part
            for block in self._loose("console")
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
        ]
        found = [_typed(part) for part in parts]
        return [each for each in found if not _INSTALLS.match(each[0])]

    def _loose(self, language: str) -> Iterator[Block]:
        for each in self.blocks:
            special = each.test or each.quoted or _is_file(each)
            if each.language == language and not special:
                yield each


def _is_file(block: Block) -> bool:
    return bool(re.fullmatch(r"[\w/]+\.\w+", block.comment))


def _typed(part: str) -> tuple[str, str]:
    """A command goes on where a line ends with a backslash, or a quote is open."""
    lines = part.splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        command = "".join(lines[:count])
        if command.count("'") % 2 == 0 and not command.endswith("\\\n"):
            return command.strip(), "".join(lines[count:])
    raise AssertionError(f"a quote is open: {part}")


def module_of(page: Page) -> str:
    """The file that the Python of a page would be."""
    return f"page_{re.sub(r'[^a-z]', '_', page.path.stem.lower())}.py"


def lay_out(page: Page, folder: Path) -> None:
    """Write the files of a page."""
    for name, content in page.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")


def run_python(page: Page, folder: Path) -> None:
    """Run the Python of a page as one module, and its tests, in the folder of its files."""
    source = page.python
    if not source:
        return
    file = folder / module_of(page)
    file.write_text(source, "utf-8")
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, str(file), "exec", flags=flags, dont_inherit=True)
    with _imported(file) as module:
        asyncio.run(_run(code, module))


async def _run(code: CodeType, module: ModuleType) -> None:
    """All of it in one loop: an application that a page opens belongs to it."""
    ended = eval(code, vars(module))
    if code.co_flags & CO_COROUTINE:
        await ended
    for name, test in list(vars(module).items()):
        if name.startswith("test_"):
            ended = test()
            if asyncio.iscoroutine(ended):
                await ended


@contextmanager
def _imported(file: Path) -> Iterator[ModuleType]:
    """A module of that name, and modules beside it, until the end."""
    module = ModuleType(file.stem)
    module.__file__, module.__spec__ = str(file), ModuleSpec(file.stem, None, origin=str(file))
    before = set(sys.modules)
    sys.modules[file.stem] = module
    sys.path.insert(0, str(file.parent))
    try:
        yield module
    finally:
        sys.path.remove(str(file.parent))
        for name in set(sys.modules) - before:
            if str(file.parent) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def run_commands(page: Page, folder: Path) -> None:
    """Type what a page types; fails if something else is printed.

    What one exports is there for the next. One that ends with `&` runs until the end. Port 8000 is
    a free one instead.
    """
    with ExitStack() as stack:
        port = _free_port()
        for typed, printed in page.commands:
            command = typed.replace(_PORT, port)
            if command.endswith("&"):
                stack.enter_context(_beside(command[:-1], folder, port))
                continue
            ended = _run_command(command, folder)
            found = ended.stdout.replace(port, _PORT)
            assert settled(found) == settled(printed), f"{typed}\n{found}\n{ended.stderr}"


def settled(text: str) -> list[str]:
    """The lines without what is another in each run."""
    for pattern, name in _VARIES:
        text = re.sub(pattern, name, text)
    return [line.rstrip() for line in text.replace("\r\n", "\n").strip().splitlines()]


def _run_command(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"{_BEFORE}\n{command}\n{_AFTER}"],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@contextmanager
def _beside(command: str, folder: Path, port: str) -> Iterator[None]:
    with (folder / "printed.txt").open("wb") as output:
        running = subprocess.Popen(
            ["bash", "-c", f"{_BEFORE}\nexec {command}"],
            cwd=folder,
            env=_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            assert running.poll() is None, (folder / "printed.txt").read_text()
            assert time.monotonic() < deadline, f"{command} does not listen"
            time.sleep(0.02)
        yield
    finally:
        running.terminate()
        running.wait(timeout=20)


def _answers(port: str) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", int(port))) == 0


def _free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def _environment() -> dict[str, str]:
    """Programs of the environment that runs the tests, as if it were activated."""
    plugin = "-p diptych.testing.plugin"  # which an installed Diptych brings by itself
    here = environment_of({"DIPTYCH_APP": "", "PYTEST_ADDOPTS": plugin})
    return {**here, "PATH": f"{Path(sys.executable).parent}:{here['PATH']}", "TERM": "dumb"}


DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
