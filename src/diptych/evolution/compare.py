"""What broke: the shapes that were stored, against the types and upcasters of today.

A stored name stands for one shape for ever. A shape may grow by optional fields and by what a field
may hold besides; anything else needs a new stored name, and an upcaster from the old one.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diptych.codec import Events
from diptych.evolution.schema import Schema, schema_of
from diptych.evolution.shape import OPTIONAL, Shape, shape_of

_VERSION: Final = re.compile(r"(.*)\.v(\d+)")
_LIMITS: Final = re.compile(r" \{[^}]*\}")
_STEPS: Final = frozenset(".[{<")
_HOLDS: Final = re.compile(r"\b(object|list|map)\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to deal with: `problems` of a stored `type` of a category, and what to `write`.

    If it `breaks`, stored events are read wrongly or not at all. Otherwise the schema file does not
    know it yet.
    """

    category: str
    type: str
    problems: tuple[str, ...]
    write: str
    breaks: bool = True


def compare(schema: Schema, families: Sequence[Events[Any]]) -> list[Finding]:
    """Everything that a schema file and the families of an application disagree on."""
    found: list[Finding] = []
    for category in sorted({*schema, *(family.category for family in families)}):
        stored = schema.get(category, {})
        ours = [family for family in families if family.category == category]
        today = schema_of(ours).get(category, {})
        if not ours:
            found.append(_deserted(category, sorted(stored)))
            continue
        for name in sorted({*stored, *today}):
            found += _changes(ours, name, old=stored.get(name), new=today.get(name))
    return found


def merged(schema: Schema, families: Sequence[Events[Any]], findings: Iterable[Finding]) -> Schema:
    """The schema with all that is new in the code; what is broken stays as it was."""
    broken = {(finding.category, finding.type) for finding in findings if finding.breaks}
    whole = {category: dict(names) for category, names in schema.items()}
    for category, names in schema_of(families).items():
        kept = whole.setdefault(category, {})
        kept |= {name: shape for name, shape in names.items() if (category, name) not in broken}
    return whole


def unread(
    families: Sequence[Events[Any]], category: str, name: str, *, what: str
) -> Iterator[Finding]:
    """A stored name that some family of its category neither reads nor ignores."""
    for family in families:
        if not family.knows(name):
            yield Finding(
                category,
                name,
                (f"{what}, and {_of(family)} does not read it",),
                f'upcasters=[Upcast("{name}", …, change=…)], or Upcast("{name}", ()) to drop it',
            )
            return


def _changes(
    families: Sequence[Events[Any]], name: str, *, old: Shape | None, new: Shape | None
) -> Iterator[Finding]:
    category = families[0].category
    if new is None:
        yield from unread(families, category, name, what="it was stored")
        return
    if old is None:
        yield Finding(category, name, ("it is new",), "diptych check --write", breaks=False)
        return
    problems = tuple(problems_of(old, new))
    if problems:
        yield Finding(category, name, problems, _new_name(families, name))
        return
    yield from unread(families, category, name, what="it is stored")
    yield from _readers(families, name, old)
    if old != new:
        grown = ("it may hold more than before",)
        yield Finding(category, name, grown, "diptych check --write", breaks=False)


def _readers(families: Sequence[Events[Any]], name: str, old: Shape) -> Iterator[Finding]:
    """Types of other families, which may pass over fields, but not want what is not there."""
    types = {tp for family in families for tp, own in family.names.items() if own == name}
    for tp in sorted(types, key=lambda tp: tp.__qualname__):
        wanted = shape_of(tp)
        known = {path: kind for path, kind in old.items() if path in wanted}
        if problems := tuple(problems_of(known, wanted)):
            said = tuple(f"{problem}, in {tp.__qualname__}" for problem in problems)
            yield Finding(families[0].category, name, said, _new_name(families, name))
            return


def problems_of(old: Shape, new: Shape) -> Iterator[str]:
    """Why what was stored in one shape cannot be read in another without loss."""
    removed = [path for path in old if path not in new and not _covered(path, old, new)]
    added = [
        path
        for path in new
        if path not in old and not new[path].endswith(OPTIONAL) and not _covered(path, new, old)
    ]
    renamed = _renamed(removed, added, old, new)
    for before, after in renamed.items():
        yield f"{before} was renamed to {after}"
    for path in removed:
        if path not in renamed:
            yield f"{path} was removed"
    for path in added:
        if path not in renamed.values():
            yield f"{path} is newly required"
    for path in old:
        if path in new:
            yield from _retyped(path, old[path], new[path])


def _retyped(path: str, old: str, new: str) -> Iterator[str]:
    before, after = old.removesuffix(OPTIONAL), new.removesuffix(OPTIONAL)
    held, may_hold = before.split(" | "), set(after.split(" | "))
    if not all(each in may_hold or _LIMITS.sub("", each) in may_hold for each in held):
        yield f"{path} was {before} and is {after}"
    elif old.endswith(OPTIONAL) and not new.endswith(OPTIONAL):
        yield f"{path} is newly required"


def _covered(path: str, has: Shape, lacks: Shape) -> bool:
    """Whether what holds it is missing, or another thing, as well: that is said already."""
    return any(
        path.startswith(parent)
        and path[len(parent) : len(parent) + 1] in _STEPS
        and (parent not in lacks or not _HOLDS.search(lacks[parent]))
        for parent in has
        if parent != path
    )


def _renamed(
    removed: Sequence[str], added: Sequence[str], old: Shape, new: Shape
) -> dict[str, str]:
    """One field that is gone and one that is there instead, of the same kind, in the same place."""
    if len(removed) != 1 or len(added) != 1:
        return {}
    (before,), (after,) = removed, added
    same = old[before].removesuffix(OPTIONAL) == new[after].removesuffix(OPTIONAL)
    return {before: after} if same else {}


def _new_name(families: Sequence[Events[Any]], name: str) -> str:
    """The line to write."""
    match = _VERSION.fullmatch(name)
    new = f"{match[1]}.v{int(match[2]) + 1}" if match else f"{name}.v2"
    tp = next(tp for family in families for tp, own in family.names.items() if own == name)
    return (
        f'{_of(families[0])} with names={{{tp.__name__}: "{new}"}} and'
        f' upcasters=[Upcast("{name}", "{new}", change=…)]'
    )


def _deserted(category: str, names: Sequence[str]) -> Finding:
    return Finding(
        category,
        ", ".join(names),
        ("they were stored, and no family of this application has the category",),
        f'Events("{category}", …), or take the category out of the schema file',
    )


def _of(family: Events[Any]) -> str:
    return f'Events("{family.category}", …)'
