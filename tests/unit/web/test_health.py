"""What readiness shows of a view."""

from datetime import timedelta

import pytest

from diptych.read.readiness import Readiness, State, ViewStatus
from diptych.web.health import _views


@pytest.mark.parametrize(
    ("left", "shown"), [(None, None), (timedelta(0), 0.0), (timedelta(seconds=1.26), 1.3)]
)
def test_the_time_left_is_seconds_or_null(left: timedelta | None, shown: float | None) -> None:
    lag = timedelta(0)
    view = ViewStatus("v", "f", 1, State.LIVE, 8, 9, lag, timedelta(seconds=1), 1.0, left, "")
    (found,) = _views(Readiness(9, (view,)))
    assert (found["seconds_left"], type(found["seconds_left"])) == (shown, type(shown))
