"""What is said, and recorded, of an error that somebody else's code raised."""

import traceback
from pathlib import Path

from diptych.errors.kinds import DiptychError


def reason(error: BaseException) -> str:
    """What happened and where, without what was in the event: that may be a secret."""
    if isinstance(error, DiptychError):
        return f"{type(error).__name__}: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = [f" in {each.name}, {Path(each.filename).name}:{each.lineno}" for each in last]
    return f"{type(error).__name__}{''.join(where)}"
