"""`Operations`: what an operator does with a running system; `app.operations`."""

from diptych.read.explanation import Explanation
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
