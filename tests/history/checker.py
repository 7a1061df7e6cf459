"""`findings`: everything that is wrong with a history, by the clause that it breaks.

Each store returns the position of an append and, at the end, the whole log in order: so nothing
has to be searched for, and every clause is a pass over what was recorded, O(n log n).
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tests.history import appending, reading
from tests.history.records import History, Truth

Clause = Callable[[History, Truth], Iterator[str]]

CLAUSES: Final[tuple[Clause, ...]] = (
    appending.positions,
    appending.versions,
    appending.clock,
    appending.strangers,
    appending.twice,
    appending.lost,
    appending.refused,
    appending.parts,
    appending.together,
    appending.content,
    appending.places,
    appending.repeats,
    appending.expected,
    appending.unjust,
    appending.order,
    reading.prefix,
    reading.fresh,
    reading.shrinking,
    reading.early,
    reading.pages,
    reading.head,
    reading.skipped,
    reading.again,
    reading.vanished,
    reading.own_writes,
    reading.folded,
    reading.unwritten,
    reading.sessions,
)


class Finding(NamedTuple):
    clause: str
    says: str


def findings(history: History) -> list[Finding]:
    truth = Truth(history)
    return [Finding(clause.__name__, says) for clause in CLAUSES for says in clause(history, truth)]
