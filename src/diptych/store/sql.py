"""Named statements in `.sql` files: each stands under a line `-- name: what_it_does`."""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_HEADING = "-- name: "


def statements(package: str, file: str) -> Mapping[str, str]:
    """The statements of `file` inside `package`, in the order of the file."""
    return parse(files(package).joinpath(file).read_text(encoding="utf-8"))


def parse(text: str) -> Mapping[str, str]:
    """Raises: ValueError: two statements have the same name."""
    found: dict[str, str] = {}
    for part in text.split(_HEADING)[1:]:
        name, _, statement = part.partition("\n")
        if name in found:
            raise ValueError(f"two statements named {name}")
        found[name] = statement.strip()
    return MappingProxyType(found)
