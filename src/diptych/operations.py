"""`Operations`: what an operator does with a running system; `app.operations`."""

from collections.abc import Sequence

from diptych.read.explanation import Explanation
from diptych.read.progress import OnProgress
from diptych.read.rebuild import HowToRebuild, Rebuilt, rebuild
from diptych.read.side import ReadSide


class Operations:
    """Needs an open application; it may be one that does not project itself (`project=False`).

    Everything here works beside any number of other processes on the same databases.
    """

    def __init__(self, read: ReadSide) -> None:
        self._read = read

    async def why(self, view: str) -> Explanation:
        """Why a view, or projection, is where it is, and what to do about it: the event and error
        that stop it, who holds it and whether they live, who has it locked, what cannot be reached.

        It changes nothing. Where the view is behind it takes a second, to see if it gets on.

        Raises: UnknownView: the application has no view of this name.
        """
        return await self._read.why(view)

    async def rebuild(
        self,
        views: Sequence[str],
        *,
        full_speed: bool = False,
        only_if_equal: bool = False,
        on_progress: OnProgress | None = None,
    ) -> tuple[Rebuilt, ...]:
        """Build views and projections again from the beginning of the log, all of them by one
        reading, beside those that serve; compare them; let them serve. No query notices.

        It leaves half of the time to live work while there is any, unless at `full_speed`. With
        `only_if_equal` a view that differs from the one that serves, though its rule is the same,
        does not serve. What was cut off goes on where it was when it is called again.

        Raises:
            UnknownView: there is no such view or projection.
            RebuildRunning: another process that is alive builds one of them.
            ProjectionStopped: an event cannot be applied; what was built so far stays.
            StoreError: a database cannot do it; what was built so far stays.
        """
        models = [self._read.named(name) for name in dict.fromkeys(views)]
        how = HowToRebuild(full_speed, only_if_equal, on_progress)
        return await rebuild(models, means=self._read.means, how=how)
