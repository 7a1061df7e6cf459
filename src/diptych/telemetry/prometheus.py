"""`Prometheus`: metrics as Prometheus reads them, by `prometheus-client`."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, multiprocess
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from diptych.errors import ConcurrencyError
from diptych.messages import Envelope, RecordedEvent
from diptych.store.contract import Append
from diptych.store.group_commit import Commits
from diptych.telemetry.contract import Sample
from diptych.telemetry.kinds import EVENTS, GAUGES, SECONDS, outcome

_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which the processes of one service keep their metrics together, if it is set."""


class Prometheus:
    """Give it as `Application(telemetry=[Prometheus()])`, and let it be read: by
    `diptych.web.add_metrics_route`, by `diptych run --metrics`, or with `text`.

    Its metrics are in a registry of its own, unless one is given. Several processes behind one
    socket need `PROMETHEUS_MULTIPROC_DIR`, as `prometheus-client` says: then any of them tells what
    all of them counted.
    """

    def __init__(self, *, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._made = _Metrics(self.registry)
        self._looked = _Looked()
        self._counted = Commits(0, 0)
        self.registry.register(self._looked)

    @property
    def readable(self) -> CollectorRegistry:
        """Where all that is counted can be read, by whichever process it was."""
        if _SHARED not in os.environ:
            return self.registry
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        shared.register(self._looked)
        return shared

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics, in the format that fits an `Accept` header, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.readable), content_type

    def command(self, command: type, envelope: Envelope) -> "_Timed":  # noqa: ARG002
        return _Timed(partial(self._made.command_ended, command.__name__))

    def append(self, append: Append) -> "_Timed":
        events = sum(len(write.events) for write in append.writes)
        return _Timed(partial(self._made.append_ended, events))

    def page(self, view: str, events: Sequence[RecordedEvent]) -> "_Timed":
        return _Timed(partial(self._made.page_ended, view, len(events)))

    def retried(self, view: str, error: BaseException) -> None:
        self._made.retries.labels(view, outcome(error)).inc()

    def stopped(self, view: str, error: BaseException) -> None:
        self._made.stops.labels(view, outcome(error)).inc()

    def parked(self, view: str, error: BaseException) -> None:
        self._made.parks.labels(view, outcome(error)).inc()

    def looked(self, sample: Sample | None) -> None:
        self._looked.sample = sample
        if sample is not None and sample.commits is not None:
            more = sample.commits.since(self._counted)
            self._counted = sample.commits
            self._made.commits.inc(more.commits)
            self._made.members.inc(more.appends)


class _Metrics:
    """What is counted and timed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def seconds(name: str, says: str, *labels: str) -> Histogram:
            named = f"diptych_{name}_duration_seconds"
            return Histogram(named, says, (*labels, "outcome"), registry=registry, buckets=SECONDS)

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"diptych_{name}", says, labels, registry=registry)

        self.commands = seconds("command", "Commands, from dispatch to outcome.", "command")
        self.appends = seconds("append", "Appends, from the call to the acknowledgement.")
        self.pages = seconds("projection", "Pages of events that a view applied.", "view")
        self.sizes = Histogram(
            "diptych_projection_page_events",
            "Events of a page.",
            ("view",),
            registry=registry,
            buckets=EVENTS,
        )
        self.appended = counter("append_events", "Events that were appended.")
        self.conflicts = counter(
            "append_conflicts", "Appends refused as their stream had moved on."
        )
        self.events = counter("projection_events", "Events that views applied.", "view")
        self.retries = counter("projection_retries", "Tries after errors.", "view", "error")
        self.parks = counter("projection_parks", "Keys that a view parked.", "view", "error")
        self.stops = counter("projection_stops", "Events that a view stopped at.", "view", "error")
        self.commits = counter("log_commits", "Transactions of group commit.")
        self.members = counter("log_appends", "Appends in these transactions.")

    def command_ended(self, command: str, seconds: float, error: BaseException | None) -> None:
        self.commands.labels(command, outcome(error)).observe(seconds)

    def append_ended(self, events: int, seconds: float, error: BaseException | None) -> None:
        self.appends.labels(outcome(error)).observe(seconds)
        if error is None:
            self.appended.inc(events)
        elif isinstance(error, ConcurrencyError):
            self.conflicts.inc()

    def page_ended(
        self, view: str, events: int, seconds: float, error: BaseException | None
    ) -> None:
        self.pages.labels(view, outcome(error)).observe(seconds)
        if error is None:
            self.events.labels(view).inc(events)
            self.sizes.labels(view).observe(events)


class _Looked(Collector):
    """How each view and each reaction is. Nothing is told while the databases cannot be asked: an
    old value would be a lie, and that a metric is absent can be alerted on."""

    sample: Sample | None = None

    def collect(self) -> Iterable[Metric]:
        sample = self.sample
        for gauge in GAUGES:
            name = gauge.name.replace(".", "_") + ("_seconds" if gauge.unit == "s" else "")
            family = GaugeMetricFamily(f"diptych_{name}", gauge.says, labels=[gauge.label])
            for of, value in gauge.values(sample) if sample else ():
                family.add_metric([of], float(value))
            yield family


class _Timed:
    """Tells `ended` how long it took, and the error. No trace is recorded for it."""

    __slots__ = ("_ended", "_started")

    def __init__(self, ended: Callable[[float, BaseException | None], None]) -> None:
        self._ended, self._started = ended, 0.0

    def __enter__(self) -> str:
        self._started = time.perf_counter()
        return ""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended(time.perf_counter() - self._started, error)
