"""`OpenTelemetry`: spans and metrics by the API of OpenTelemetry; what becomes of them is up to
the SDK that is configured, if any.

One trace follows a command: its span, the span of its append, and, through the trace context that
is recorded with its events (`Metadata.trace`, a W3C `traceparent`), the spans of the pages in which
views apply them, in whatever process and however much later. A page whose events come from one
trace goes on in that trace; a page of many has a trace of its own, with a link to each of them.
"""

import time
from collections.abc import Sequence
from contextvars import Token
from types import TracebackType
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider

from diptych.messages import Envelope, RecordedEvent
from diptych.store.contract import Append
from diptych.telemetry.contract import Sample
from diptych.telemetry.instruments import Done, Instruments
from diptych.telemetry.kinds import is_fault, outcome
from diptych.telemetry.trace_context import spans_of, traceparent

_NAME: Final = "diptych"


class OpenTelemetry:
    """Give it as `Application(telemetry=[OpenTelemetry()])`.

    It takes the providers that were set for the process, or those that are given here. Without an
    SDK nothing is kept. Spans and metrics tell types, ids of commands, views, positions and
    classes of errors; never what is in a command, an event or the message of an error.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        self._made = Instruments(_NAME, meter_provider)

    def command(self, command: type, envelope: Envelope) -> "_TracedCommand":
        name = command.__name__
        span = self._tracer.start_span(f"command {name}")
        if span.is_recording():
            span.set_attributes(
                {
                    "diptych.command": name,
                    "diptych.command.id": str(envelope.command_id),
                    "diptych.correlation.id": str(envelope.correlation_id),
                }
            )
        return _TracedCommand(span, self._made.commands({"diptych.command": name}))

    def append(self, append: Append) -> "_Traced":
        events = sum(len(write.events) for write in append.writes)
        span = self._tracer.start_span("append", kind=SpanKind.PRODUCER)
        if span.is_recording():
            span.set_attributes({"diptych.events": events, "diptych.streams": len(append.writes)})
        return _Traced(span, self._made.appends(events))

    def page(self, view: str, events: Sequence[RecordedEvent]) -> "_Traced":
        spans = spans_of(events)
        parent = trace.set_span_in_context(spans[0], Context()) if len(spans) == 1 else Context()
        span = self._tracer.start_span(
            f"project {view}",
            parent,
            SpanKind.CONSUMER,
            {
                "diptych.view": view,
                "diptych.events": len(events),
                "diptych.position.first": events[0].position,
                "diptych.position.last": events[-1].position,
            },
            [Link(each.get_span_context()) for each in spans],
        )
        return _Traced(span, self._made.pages({"diptych.view": view}, events=len(events)))

    def retried(self, view: str, error: BaseException) -> None:
        self._made.retries.add(1, {"diptych.view": view, "diptych.outcome": outcome(error)})

    def stopped(self, view: str, error: BaseException) -> None:
        self._made.stops.add(1, {"diptych.view": view, "diptych.outcome": outcome(error)})

    def parked(self, view: str, error: BaseException) -> None:
        self._made.parks.add(1, {"diptych.view": view, "diptych.outcome": outcome(error)})

    def looked(self, sample: Sample | None) -> None:
        self._made.looked(sample)


class _Span:
    """A span, and its time. It stands around each command, so it is no generator: that would take
    several times as long where there is no SDK."""

    __slots__ = ("_done", "_span", "_started", "_token")

    def __init__(self, span: Span, done: Done) -> None:
        self._span, self._done = span, done
        self._token: Token[Context] | None = None
        self._started = 0.0

    def _begin(self) -> None:
        if self._span.get_span_context().is_valid:
            self._token = attach(trace.set_span_in_context(self._span))
        self._started = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done(time.perf_counter() - self._started, error)
        if error is not None and self._span.is_recording():
            _mark(self._span, error)
        if self._token is not None:
            detach(self._token)
        self._span.end()


class _Traced(_Span):
    __slots__ = ()

    def __enter__(self) -> None:
        self._begin()


class _TracedCommand(_Span):
    """It gives the trace that is recorded with the events of the command."""

    __slots__ = ()

    def __enter__(self) -> str:
        self._begin()
        return traceparent(self._span)


def _mark(span: Span, error: BaseException) -> None:
    """With the class only: message and traceback may hold what is in a command."""
    span.set_attribute("error.type", outcome(error))
    if is_fault(error):
        span.set_status(Status(StatusCode.ERROR, outcome(error)))
