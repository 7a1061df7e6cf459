"""`Missing`: what an answer lacks because it is parked, for one query in one snapshot.

A parked key counts as not there yet. Its row is asked for by its key: it is not what it should be,
so `KeyParked`, or with leave to be stale what there is. For a page, a search or a statement of the
handler's own nobody knows whether the row belongs to it. If the client's token has seen the first
event that is parked, or a later one, it is treated likewise; else the answer is merely stale. Its
token is that of the place all the same, or a replica that is behind might show other rows as they
were: who returns it must have leave to be stale.

Nobody is made to wait: what is parked is there again when an operator has retried it. Only keys of
the query's tenant count. Where nothing is parked this costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from diptych.errors import KeyParked
from diptych.read.bound_view import BoundView
from diptych.read.database import Snapshot
from diptych.read.model import ReadModel
from diptych.read.parking import key_id
from diptych.read.schema import PARKED_KEYS
from diptych.tokens import Token


@dataclass(frozen=True, slots=True)
class Asked:
    """By which tenant, with which token, and whether the answer may be stale."""

    tenant: str
    at_least: Token | None
    may_be_stale: bool


class Missing:
    """`stale` and `shows` are of the answer: whether it lacks something, and up to which position
    it surely has everything (None: as far as its views are)."""

    def __init__(
        self,
        snapshot: Snapshot,
        asked: Asked,
        *,
        first: Mapping[ReadModel, tuple[int, int]],
        homes: Mapping[ReadModel, ReadModel],
    ) -> None:
        self._snapshot, self._asked, self._homes = snapshot, asked, homes
        self._first = first
        self.stale = False
        self.shows: int | None = None

    async def in_row(self, view: ReadModel, bound: BoundView[Any], key: object) -> None:
        """Raises: KeyParked."""
        home = self._homes[view]
        if home not in self._first:
            return
        if home.name != view.name:  # what is parked has the keys of the view below
            self.in_all(view)
            return
        revision, _ = self._first[home]
        ours = key_id(self._asked.tenant, bound.key_text((self._asked.tenant, key)))
        columns = PARKED_KEYS.c
        mine = (columns.revision == revision, columns.key_id == ours)
        rows = await self._snapshot.execute(sa.select(columns.first_position).where(*mine))
        if rows:
            self._lacks(home, rows[0].first_position, may_be=self._asked.may_be_stale)

    def in_all(self, view: ReadModel) -> None:
        """Raises: KeyParked."""
        home = self._homes[view]
        if home in self._first:
            _, position = self._first[home]
            token = self._asked.at_least
            unseen = token is None or token.position < position
            self._lacks(home, position, may_be=unseen or self._asked.may_be_stale)

    def _lacks(self, view: ReadModel, position: int, *, may_be: bool) -> None:
        if not may_be:
            raise KeyParked(view.name, position=position)
        self.stale = True
        before = position - 1
        self.shows = before if self.shows is None else min(self.shows, before)

    @property
    def tenant(self) -> str:
        return self._asked.tenant

    def as_of(self, token: Token) -> Token:
        """What the answer shows, of what its views are at."""
        if self.shows is None or token.position <= self.shows:
            return token
        return Token(token.log_id, self.shows)


async def missing_of(
    snapshot: Snapshot, asked: Asked, *, homes: Mapping[ReadModel, ReadModel]
) -> Missing:
    """What is parked for the tenant in the views of a query, in the snapshot that answers it."""
    first: dict[ReadModel, tuple[int, int]] = {}
    for home in dict.fromkeys(homes.values()):
        standing = snapshot.standings.get(home.wanted)
        if standing is not None and standing.parked:
            position = await _first(snapshot, standing.revision, tenant=asked.tenant)
            if position is not None:
                first[home] = (standing.revision, position)
    return Missing(snapshot, asked, first=first, homes=homes)


async def _first(snapshot: Snapshot, revision: int, *, tenant: str) -> int | None:
    columns = PARKED_KEYS.c
    least = sa.select(sa.func.min(columns.first_position).label("position"))
    rows = await snapshot.execute(
        least.where(columns.revision == revision, columns.tenant == tenant)
    )
    position: int | None = rows[0].position
    return position
