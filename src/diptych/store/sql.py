"""Named statements in `.sql` files: each stands under a line `-- name: what_it_does`."""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_HEADING = "-- name: "


def statements(package: str, file: str) -> Mapping[str, str]:
    """The statements of `file` inside `package`, in the order of the file."""
    return parse(files(package).joinpath(file).read_text(encoding="utf-8"))


def migrations(package: str) -> tuple[str, ...]:
    """The files of `package` that lead from schema version 1 to 2, from 2 to 3, and so on."""
    found = (each.name for each in files(package).joinpath("migrations").iterdir())
    names = sorted(name for name in found if name.endswith(".sql"))
    for version, name in enumerate(names, start=2):
        if not name.startswith(f"{version:04}"):
            raise ValueError(f"{package}/migrations has {name} where {version:04}… should be")
    return tuple(f"migrations/{name}" for name in names)


def parse(text: str) -> Mapping[str, str]:
    """Raises: ValueError: two statements have the same name."""
    found: dict[str, str] = {}
    for part in text.split(_HEADING)[1:]:
        name, _, statement = part.partition("\n")
        if name in found:
            raise ValueError(f"two statements named {name}")
        found[name] = statement.strip()
    return MappingProxyType(found)
