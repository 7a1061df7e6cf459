"""The trace of a command, as its events carry it: the `traceparent` of W3C Trace Context."""

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from diptych.messages import RecordedEvent

_W3C: Final = TraceContextTextMapPropagator()
_NAME: Final = "traceparent"
_KEY: Final = b'"trace"'

_LOOKED_AT: Final = 100
"""Events of a page whose traces are looked for: a page may have thousands, a span takes 128 links.
"""


def traceparent(span: Span) -> str:
    """How a span is named to others; nothing if there is none (no SDK is configured)."""
    context = span.get_span_context()
    if not context.is_valid:
        return ""
    ids = f"{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}"
    return f"00-{ids}-{context.trace_flags:02x}"


def spans_of(events: Sequence[RecordedEvent]) -> list[Span]:
    """The spans that the last of these events were recorded in, each once, in order.

    What is not a trace context is passed over: metadata may have been written by somebody else.
    """
    recorded = (_trace_of(event) for event in events[-_LOOKED_AT:])
    found = (_span(text) for text in dict.fromkeys(recorded) if text)
    return [span for span in found if span.get_span_context().is_valid]


def _trace_of(event: RecordedEvent) -> str:
    if _KEY not in event.metadata_json:
        return ""
    try:
        return str(event.metadata.trace)
    except (ValueError, TypeError, AttributeError):
        return ""


def _span(text: str) -> Span:
    return trace.get_current_span(_W3C.extract({_NAME: text}, Context()))
