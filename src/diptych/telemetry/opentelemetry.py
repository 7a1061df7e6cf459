"""`OpenTelemetry`: spans and metrics by the API of OpenTelemetry; what becomes of them is up to
the SDK that is configured, if any.

One trace follows a command: its span, the span of its append, and, through the trace context that
is recorded with its events (`Metadata.trace`, a W3C `traceparent`), the spans of the pages in which
views apply them, in whatever process and however much later. A page whose events come from one
trace goes on in that trace; a page of many has a trace of its own, with a link to each of them.
"""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, MeterProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider

from diptych.messages import Envelope, RecordedEvent
from diptych.store.contract import Append
from diptych.telemetry.contract import Sample
from diptych.telemetry.instruments import Instruments
from diptych.telemetry.kinds import is_fault, outcome
from diptych.telemetry.trace_context import spans_of, traceparent

Attributes = Mapping[str, str | int]

_NAME: Final = "diptych"


class OpenTelemetry:
    """Give it as `Application(telemetry=[OpenTelemetry()])`.

    It takes the providers that were set for the process, or those that are given here. Without an
    SDK nothing is kept. Names of spans and attributes hold types, streams of no event, and never
    the content of a command or an event; nor do errors, of which only the class is told.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        self._made = Instruments(_NAME, meter_provider)

    @contextmanager
    def command(self, command: type, envelope: Envelope) -> Generator[str]:
        name = command.__name__
        facts: Attributes = {
            "diptych.command": name,
            "diptych.command.id": str(envelope.command_id),
            "diptych.correlation.id": str(envelope.correlation_id),
        }
        labels = {"diptych.command": name}
        with (
            self._span(f"command {name}", SpanKind.INTERNAL, facts) as span,
            _timed(self._made.commands, labels),
        ):
            yield traceparent(span)

    @contextmanager
    def append(self, append: Append) -> Generator[None]:
        events = sum(len(write.events) for write in append.writes)
        facts: Attributes = {"diptych.events": events, "diptych.streams": len(append.writes)}
        with (
            self._span("append", SpanKind.PRODUCER, facts),
            self._made.appending(events),
            _timed(self._made.appends, {}),
        ):
            yield

    @contextmanager
    def page(self, view: str, events: Sequence[RecordedEvent]) -> Generator[None]:
        facts: Attributes = {
            "diptych.view": view,
            "diptych.events": len(events),
            "diptych.position.first": events[0].position,
            "diptych.position.last": events[-1].position,
        }
        spans = spans_of(events)
        parent = trace.set_span_in_context(spans[0], Context()) if len(spans) == 1 else Context()
        links = [Link(each.get_span_context()) for each in spans]
        labels = {"diptych.view": view}
        with (
            self._span(f"project {view}", SpanKind.CONSUMER, facts, parent=parent, links=links),
            _timed(self._made.pages, labels),
        ):
            yield
        self._made.projected(len(events), labels)

    def retried(self, view: str, error: BaseException) -> None:
        self._made.retries.add(1, {"diptych.view": view, "diptych.outcome": outcome(error)})

    def stopped(self, view: str, error: BaseException) -> None:
        self._made.stops.add(1, {"diptych.view": view, "diptych.outcome": outcome(error)})

    def looked(self, sample: Sample | None) -> None:
        self._made.looked(sample)

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        facts: Attributes,
        *,
        parent: Context | None = None,
        links: Sequence[Link] = (),
    ) -> Generator[Span]:
        """A span that tells the class of an error, and neither its message nor where it arose:
        both may hold what is in a command."""
        with self._tracer.start_as_current_span(
            name,
            parent,
            kind,
            facts,
            links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", outcome(error))
                if is_fault(error):
                    span.set_status(Status(StatusCode.ERROR, outcome(error)))
                raise


@contextmanager
def _timed(histogram: Histogram, labels: Mapping[str, str]) -> Generator[None]:
    started, ended = time.perf_counter(), outcome(None)
    try:
        yield
    except BaseException as error:
        ended = outcome(error)
        raise
    finally:
        seconds = time.perf_counter() - started
        histogram.record(seconds, {**labels, "diptych.outcome": ended})
