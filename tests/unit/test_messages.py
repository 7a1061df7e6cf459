"""Metadata and recorded events: what was written about an event is what is read back."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from diptych.messages import Envelope, Metadata, RecordedEvent

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "metadata",
    [
        Metadata(),
        Metadata(A, A),
        Metadata(A, B, C, "ada"),
        Metadata(None, B, None, 'a "quoted" name, Zoë \\ \n'),
        Metadata(A, A, trace=TRACE),
        Metadata(None, None, C, "ada", TRACE),
    ],
)
def test_metadata_comes_back_equal(metadata: Metadata) -> None:
    assert Metadata.from_json(metadata.to_json()) == metadata


def test_a_command_that_began_its_own_correlation_is_recorded_once() -> None:
    assert Metadata(A, A).to_json() == Metadata(A).to_json()
    assert Metadata.from_json(Metadata(A).to_json()).correlation_id == A


def test_metadata_of_a_newer_version_can_be_read() -> None:
    assert Metadata.from_json(b'{"actor":"ada","signed_by":"eve"}') == Metadata(actor="ada")


def test_an_envelope_says_who_and_what_led_to_an_event() -> None:
    envelope = Envelope(A, NOON, B, causation_id=C, actor="ada", tenant="t")
    assert envelope.metadata() == Metadata(A, B, C, "ada")
    assert envelope._replace(trace=TRACE).metadata() == Metadata(A, B, C, "ada", TRACE)


def test_an_event_happened_when_it_was_recorded_unless_it_was_imported() -> None:
    event = RecordedEvent(1, "", "order-1", 1, A, "Opened", b"{}", b"{}", NOON, None, ())
    assert event.at == NOON
    assert event.metadata == Metadata()
    earlier = NOON - timedelta(days=1)
    assert event._replace(occurred_at=earlier).at == earlier
