"""`Instruments`: the metrics that are kept by the API of OpenTelemetry."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from opentelemetry.metrics import (
    CallbackOptions,
    Counter,
    Histogram,
    MeterProvider,
    Observation,
    get_meter,
)

from diptych.errors import ConcurrencyError
from diptych.store.group_commit import Commits
from diptych.telemetry.contract import Sample
from diptych.telemetry.kinds import EVENTS, GAUGES, SECONDS, Gauge, outcome

Labels = Mapping[str, str]
Done = Callable[[float, BaseException | None], None]
"""What is called in the end, with seconds and the error, if it was one."""

_NONE: Final = Commits(0, 0)
_OUTCOME: Final = "diptych.outcome"


class Instruments:
    """Seconds and events as histograms, what happened as counters, how views are as gauges."""

    def __init__(self, name: str, provider: MeterProvider | None) -> None:
        meter = self._meter = get_meter(name, meter_provider=provider)
        self._commands = self._seconds("command", "Commands, from dispatch to outcome.")
        self._appends = self._seconds("append", "Appends, from the call to the acknowledgement.")
        self._pages = self._seconds("projection", "Pages of events that a view applied.")
        self._sizes = meter.create_histogram(
            "diptych.projection.page.size",
            "{event}",
            "Events of a page.",
            explicit_bucket_boundaries_advisory=EVENTS,
        )
        self._appended = self._counter("append.events", "{event}", "Events that were appended.")
        self._conflicts = self._counter(
            "append.conflicts", "{conflict}", "Appends refused because their stream had moved on."
        )
        self._events = self._counter("projection.events", "{event}", "Events that views applied.")
        self.retries = self._counter(
            "projection.retries", "{retry}", "Tries of views after errors."
        )
        self.parks = self._counter("projection.parks", "{key}", "Keys that a view parked.")
        self.stops = self._counter("projection.stops", "{stop}", "Events that a view stopped at.")
        self._commits = self._counter("log.commits", "{commit}", "Transactions of group commit.")
        self._members = self._counter("log.appends", "{append}", "Appends in these transactions.")
        self._sample: Sample | None = None
        self._counted = _NONE
        for gauge in GAUGES:
            meter.create_observable_gauge(
                f"diptych.{gauge.name}", [self._observing(gauge)], gauge.unit, gauge.says
            )

    def commands(self, labels: Labels) -> Done:
        def done(seconds: float, error: BaseException | None) -> None:
            self._commands.record(seconds, {**labels, _OUTCOME: outcome(error)})

        return done

    def appends(self, events: int) -> Done:
        def done(seconds: float, error: BaseException | None) -> None:
            self._appends.record(seconds, {_OUTCOME: outcome(error)})
            if error is None:
                self._appended.add(events)
            elif isinstance(error, ConcurrencyError):
                self._conflicts.add(1)

        return done

    def pages(self, labels: Labels, *, events: int) -> Done:
        def done(seconds: float, error: BaseException | None) -> None:
            self._pages.record(seconds, {**labels, _OUTCOME: outcome(error)})
            if error is None:
                self._events.add(events, labels)
                self._sizes.record(events, labels)

        return done

    def looked(self, sample: Sample | None) -> None:
        self._sample = sample
        if sample is not None and sample.commits is not None:
            more = sample.commits.since(self._counted)
            self._counted = sample.commits
            self._commits.add(more.commits)
            self._members.add(more.appends)

    def _observing(self, gauge: Gauge) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            """Nothing at all where the databases cannot be asked: an old value would be a lie."""
            found = gauge.values(self._sample) if self._sample else ()
            label = f"diptych.{gauge.label}"
            return [Observation(float(value), {label: name}) for name, value in found]

        return observe

    def _seconds(self, name: str, says: str) -> Histogram:
        return self._meter.create_histogram(
            f"diptych.{name}.duration", "s", says, explicit_bucket_boundaries_advisory=SECONDS
        )

    def _counter(self, name: str, unit: str, says: str) -> Counter:
        return self._meter.create_counter(f"diptych.{name}", unit, says)
