"""`diptych why`: why views are where they are, and what to do about it."""

from collections.abc import Iterator

from diptych.app import Application
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output
from diptych.cli.plain import plain
from diptych.cli.views import SOME_VIEWS
from diptych.read.explanation import Explanation


@SOME_VIEWS
async def why(app: Application, out: Output, *, views: tuple[str, ...]) -> int:
    """Say why views are where they are, and what to do about it; without names, of all views.

    \b
    Exit codes: 0 nothing is in the way of any of them; 3 one stands still,
    and the cause is shown; 1, 2 as always.
    """
    async with app:
        asked = [await app.operations.why(view) for view in views or app.names]
    found = list({each.view: each for each in asked}.values())  # some are projected together
    out.json({"views": [_facts(each) for each in found]})
    for each in found:
        for line in _lines(each):
            out.say(line)
    return FOUND if any(each.stands_still for each in found) else DONE


def _facts(found: Explanation) -> dict[str, object]:
    return {**plain(found), "stands_still": found.stands_still}


def _lines(found: Explanation) -> Iterator[str]:
    at = "" if found.position is None else f" at {found.position:,}"
    of = "" if found.head is None else f" of {found.head:,}"
    yield f"{found.view}: {found.cause.why.value}{at}{of}"
    for cause in found.causes:
        yield f"  why: {cause.says}"
        if cause.do != "nothing":
            yield f"  do:  {cause.do}"
