"""Both kinds of telemetry fit the seam, and an application takes them."""

from collections.abc import Sequence

from diptych import Application
from diptych.telemetry import OpenTelemetry, Prometheus, Telemetry


def test_both_are_telemetry_for_the_checkers() -> None:
    both: Sequence[Telemetry] = [OpenTelemetry(), Prometheus()]
    app = Application(log="memory://", telemetry=both)
    assert app.telemetry == tuple(both)
