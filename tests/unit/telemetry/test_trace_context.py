"""How a trace is carried by events: written as W3C says, and read however it was written."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, format_trace_id

from diptych.messages import Metadata, RecordedEvent
from diptych.telemetry.trace_context import spans_of, traceparent

TRACES = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 300)]


def recorded(position: int, metadata: bytes) -> RecordedEvent:
    at = datetime(2026, 1, 31, tzinfo=UTC)
    event_id = UUID(int=position)
    return RecordedEvent(
        position, "", "a-1", position, event_id, "A", b"{}", metadata, at, None, ()
    )


def traced(*traces: str) -> list[RecordedEvent]:
    return [
        recorded(position, Metadata(trace=trace).to_json())
        for position, trace in enumerate(traces, 1)
    ]


def test_a_span_is_named_so_that_it_is_found_again() -> None:
    span = TracerProvider().get_tracer("test").start_span("one")
    (found,) = spans_of(traced(traceparent(span)))
    ours, theirs = span.get_span_context(), found.get_span_context()
    assert (theirs.trace_id, theirs.span_id, theirs.trace_flags, theirs.is_remote) == (
        ours.trace_id,
        ours.span_id,
        ours.trace_flags,
        True,
    )


def test_without_an_sdk_there_is_nothing_to_record() -> None:
    assert traceparent(INVALID_SPAN) == ""


def test_each_trace_is_found_once_and_in_order() -> None:
    found = spans_of(traced(TRACES[1], "", TRACES[0], TRACES[1]))
    ids = [format_trace_id(each.get_span_context().trace_id) for each in found]
    assert ids == [TRACES[1][3:35], TRACES[0][3:35]]


def test_only_the_last_of_a_long_page_are_looked_at() -> None:
    found = spans_of(traced(*TRACES))
    assert len(found) == 100
    assert format_trace_id(found[-1].get_span_context().trace_id) == TRACES[-1][3:35]


@pytest.mark.parametrize(
    "metadata",
    [
        b"{}",
        b"no json",
        b'["trace"]',
        b'{"trace":5}',
        b'{"trace":null}',
        b'{"trace":["00"]}',
        b'{"trace":"00-zz-1-01"}',
        b'{"trace":"00-' + b"0" * 32 + b"-" + b"0" * 16 + b'-01"}',
        b'{"trace":"\xff"}',
        b'{"command_id":"no id","trace":"' + TRACES[0].encode() + b'"}',
    ],
)
def test_what_is_no_trace_keeps_nobody_from_projecting(metadata: bytes) -> None:
    assert spans_of([recorded(1, metadata)]) == []
