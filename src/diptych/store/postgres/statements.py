"""The SQL of the PostgreSQL log, by name, for the schema that the log is in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from diptych.store.sql import migrations, statements

_PACKAGE: Final = "diptych.store.postgres"
_PARAMETER: Final = re.compile(r"(?<!:):(\w+)")
_WRITTEN: Final = re.compile(r"\bdiptych\b(?=[.'])|(?<=SCHEMA )diptych\b")
"""Where the files name the schema. The names that a URL may give need no quotes."""


@dataclass(frozen=True, slots=True)
class Statements:
    """`schema` creates the tables of schema version 1, each of `migrations` leads to the next;
    `functions` creates what its statements are named after; `queries` are the rest."""

    schema: Mapping[str, str]
    migrations: tuple[Mapping[str, str], ...]
    functions: Mapping[str, str]
    queries: Mapping[str, str]

    @property
    def schema_version(self) -> int:
        return 1 + len(self.migrations)

    def __getitem__(self, name: str) -> str:
        return self.queries[name]


@cache
def statements_for(schema: str) -> Statements:
    """All of them, for the log in `schema`."""
    return Statements(
        _named("schema.sql", schema),
        tuple(_named(file, schema) for file in migrations(_PACKAGE)),
        _named("functions.sql", schema),
        _named("queries.sql", schema),
    )


@dataclass(frozen=True, slots=True)
class Numbered:
    """A statement with `$1`, `$2`, … for the parameters called `names`."""

    text: str
    names: tuple[str, ...]


@cache
def cursor_statements(schema: str) -> Mapping[str, Numbered]:
    """What `cursors.sql` asks the log in `schema`."""
    return {name: numbered(text) for name, text in _named("cursors.sql", schema).items()}


def numbered(statement: str) -> Numbered:
    """`:name` becomes the number of its first place; `::` is a cast and stays."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(statement)))
    text = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", statement)
    return Numbered(text, names)


def script(several: Iterable[str]) -> str:
    """Several statements for one round trip. Any of them may end with a comment."""
    return "\n;\n".join(several)


def _named(file: str, schema: str) -> Mapping[str, str]:
    found = statements(_PACKAGE, file)
    return {name: _WRITTEN.sub(schema, statement) for name, statement in found.items()}
