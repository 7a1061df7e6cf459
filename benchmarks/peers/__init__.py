"""Other frameworks, each in an environment of its own that `make bench` makes."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import child

_HERE = Path(__file__).parent
_PYTHON = _HERE.parents[1] / ".venv-peers" / "bin" / "python"


@dataclass(frozen=True)
class Peer:
    """A program that creates orders; see its own text for what is the same as ours."""

    name: str
    release: str
    runs: Path | None
    program: str
    installed: Path

    @property
    def missing(self) -> str:
        """Why it cannot be measured; empty if it can."""
        if self.runs is None:
            return f"{self.name} was not measured: there is no Node.js"
        if not self.installed.exists():
            return (
                f"{self.name} was not measured: `make peers` could not install it, or was not run"
            )
        return ""

    async def commands(self, url: str, *, in_flight: int, total: int, mode: str = "") -> float:
        """Durable commands a second, after it has warmed up."""
        more = (mode,) if mode else ()
        program = str(_HERE / self.program)
        async with child(str(self.runs), program, url, str(total), str(in_flight), *more) as peer:
            peer.say("go")
            return float(await peer.hear())


def _node() -> Path | None:
    found = shutil.which("node")
    return Path(found) if found else None


EVENTSOURCING = Peer(
    "eventsourcing", "9.5.6", _PYTHON, "eventsourcing_orders.py", _PYTHON.parents[1] / "installed"
)
EMMETT = Peer(
    "Emmett", "0.42.0", _node(), "emmett_orders.mjs", _HERE / "node_modules" / "installed"
)
