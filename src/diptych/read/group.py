"""`Group`: a view and all views over it, projected as one.

The rows of a view over a view are folded from what each event makes of the rows below. So both
must be at one place, always: they have one projector, one checkpoint, one transaction and one
revision, which is made anew as a whole when any of them changes. The group has the name of its
root, the view that is folded from events; to operators it is that view.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from diptych.errors import ConfigurationError
from diptych.listed import listed
from diptych.read.bound_view import BoundView
from diptych.read.database import Loading, Transaction
from diptych.read.model import Aside, Bound, Decoded, ReadModel, Write, together
from diptych.read.projection import Projection
from diptych.read.table import ViewTable
from diptych.read.view import View
from diptych.rules.fingerprint import fingerprint

AnyView = View[Any]


class Group(ReadModel):
    """A root view and those over it, each behind the one that it is over."""

    def __init__(self, root: AnyView, over: Sequence[AnyView]) -> None:
        self.views, self.over = (root, *over), tuple(view.name for view in over)
        super().__init__(
            root.name,
            events=root.families,
            rule=(),
            version=None,
            shape=(),
            max_lag=min(view.max_lag for view in self.views),
            partitions=root.partitions,
            rebuild=root.rebuild,
            parks=root.parks,
        )

    def __repr__(self) -> str:
        return f"{self.views[0]!r} with {', '.join(self.over)}"

    @cached_property
    def fingerprint(self) -> str:
        """That of all views and their names, in whichever order the application lists them."""
        root, *over = self.views
        return fingerprint(root.fingerprint, sorted((view.name, view.fingerprint) for view in over))

    def bind(
        self, revision: int, dialect: sa.Dialect, *, partition: int | None = None
    ) -> "BoundGroup":
        return BoundGroup(
            {view: view.bind(revision, dialect, partition=partition) for view in self.views}
        )


@dataclass(frozen=True, slots=True, eq=False)
class BoundGroup:
    """The views of a group with the tables of one revision, each behind the one it is over."""

    views: Mapping[AnyView, BoundView[Any]]

    @property
    def tables(self) -> Sequence[str]:
        return [table.name for table in self.keyed]

    @property
    def keyed(self) -> Sequence[ViewTable]:
        return [table for bound in self.views.values() for table in bound.keyed]

    async def create(self, tx: Transaction) -> None:
        for bound in self.views.values():
            await bound.create(tx)

    def remembering(self) -> "BoundGroup":
        return BoundGroup({view: bound.remembering() for view, bound in self.views.items()})

    async def prepare(
        self, snapshot: Loading, decoded: Sequence[Decoded], aside: Aside | None = None
    ) -> Write:
        """What is set aside is so in the root: no view over it sees anything of it."""
        watched = {view.source for view in self.views}
        changes: dict[AnyView | None, Sequence[Decoded]] = {None: decoded}
        writes: list[Write] = []
        for view, bound in self.views.items():
            given, kept = changes[view.source], aside if view.source is None else None
            applied = await bound.apply(snapshot, given, kept, watched=view in watched)
            writes.append(applied.write)
            changes[view] = applied.changes
        return together(writes)


def models_of(
    views: Iterable[View[Any]], projections: Iterable[Projection]
) -> tuple[ReadModel, ...]:
    """All that an application has. Raises ConfigurationError: something else is among them."""
    found: tuple[ReadModel, ...] = listed("views", views, View, write="View(...)")
    return (*found, *listed("projections", projections, Projection, write="Projection(...)"))


def check_names(models: Sequence[ReadModel]) -> None:
    """Raises: ConfigurationError: two have one name, or a fingerprint cannot be made."""
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise ConfigurationError(f"two views or projections are named {model.name!r}")
        seen.add(model.name)
        model.fingerprint  # noqa: B018 - made at start-up, where its errors belong


def root_of(bound: Bound) -> BoundView[Any] | None:
    """The view that is folded from events, whose keys are parked; a projection has none."""
    if isinstance(bound, BoundGroup):
        return next(iter(bound.views.values()))
    return bound if isinstance(bound, BoundView) else None


def grouped(models: Sequence[ReadModel]) -> tuple[ReadModel, ...]:
    """What is projected: a group for each view that others are over, all else as it is.

    Raises: ConfigurationError: a view is over one that is not among them.
    """
    over = [model for model in models if isinstance(model, View) and model.source is not None]
    for view in over:
        if view.source not in models:
            raise ConfigurationError(
                f"{view!r} is over {view.source!r}, which the application does not have: add it"
                " to views="
            )
    return tuple(_grouped(model, over) for model in models if model not in over)


def homes(projected: Sequence[ReadModel]) -> Mapping[ReadModel, ReadModel]:
    """By view or projection, what it is projected as: its group, or itself."""
    return {member: model for model in projected for member in members(model)}


def named(projected: Sequence[ReadModel], name: str) -> ReadModel | None:
    """What the view or projection of this name is projected as, if there is one."""
    names = (model for model in projected if name in {member.name for member in members(model)})
    return next(names, None)


def members(model: ReadModel) -> Sequence[ReadModel]:
    """The views of a group, the root first; else the model alone."""
    return model.views if isinstance(model, Group) else (model,)


def _grouped(model: ReadModel, over: Sequence[AnyView]) -> ReadModel:
    above = _above(model, over)
    return Group(model, above) if isinstance(model, View) and above else model


def _above(source: ReadModel, over: Sequence[AnyView]) -> Sequence[AnyView]:
    """Each behind the one that it is over."""
    direct = (view for view in over if view.source is source)
    return [each for view in direct for each in (view, *_above(view, over))]
