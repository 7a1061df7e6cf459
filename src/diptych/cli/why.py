"""`diptych why`: why views and reactions are where they are, and what to do about it."""

from collections.abc import Iterator

from diptych.app import Application
from diptych.cli.described import refuse_without_any
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output
from diptych.cli.plain import plain
from diptych.cli.views import SOME, both, refuse_unknown
from diptych.flow.why import ReactionExplanation
from diptych.read.explanation import Explanation


@SOME
async def why(app: Application, out: Output, *, names: tuple[str, ...]) -> int:
    """Say why views and reactions are where they are, and what to do about it; without names, of
    all.

    \b
    Exit codes: 0 nothing is in the way of any of them; 3 one stands still,
    and the cause is shown; 1, 2 as always.
    """
    refuse_without_any(app)
    refuse_unknown(app, names)
    names, reactions = names or both(app), app.operations.reaction_names
    async with app:
        asked = [await app.operations.why(name) for name in names if name not in reactions]
        acts = [await app.operations.reaction(name).why() for name in names if name in reactions]
    found = list({each.view: each for each in asked}.values())  # some are projected together
    out.json({"views": [_facts(each) for each in found], "reactions": acts})
    every: list[Explanation | ReactionExplanation] = [*found, *acts]
    for line in (line for each in every for line in _lines(each)):
        out.say(line)
    return FOUND if any(each.stands_still for each in every) else DONE


def _facts(found: Explanation) -> dict[str, object]:
    return {**plain(found), "stands_still": found.stands_still}


def _lines(found: Explanation | ReactionExplanation) -> Iterator[str]:
    at = "" if found.position is None else f" at {found.position:,}"
    of = "" if found.head is None else f" of {found.head:,}"
    if isinstance(found, Explanation):
        yield f"{found.view}: {found.cause.why.value}{at}{of}"
    else:
        yield f"{found.reaction}: {found.state.value}{at}{of}"
    for cause in found.causes:
        yield f"  why: {cause.says}"
        if cause.do != "nothing":
            yield f"  do:  {cause.do}"
