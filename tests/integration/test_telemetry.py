"""One trace from a command through its append to the views; metrics of all of it; no contents."""

import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from diptych import Application, ConfigurationError, Decider, Events, RecordedEvent, Rejected, View
from diptych.errors import StorageUnavailable
from diptych.failpoints import armed
from diptych.flow.reaction import Reaction
from diptych.telemetry import OpenTelemetry, Prometheus, Sample
from diptych.testing import wait_until


@dataclass(frozen=True)
class Put:
    box: UUID
    things: int


@dataclass(frozen=True)
class WasPut:
    box: UUID
    things: int


@dataclass(frozen=True)
class Box:
    box: UUID
    things: int


class TooMany(Rejected):
    def __init__(self) -> None:
        super().__init__("the secret in the command")


SECRET = 47_110_815_471_108  # so long that no id or time has it by chance


def decide(command: Put, box: int) -> Sequence[WasPut]:
    if command.things > 10 and command.things != SECRET:
        raise TooMany
    return [WasPut(command.box, command.things)] * min(command.things, 3)


def evolve(box: int, event: WasPut) -> int:
    return box + event.things


def project(row: Box | None, event: WasPut, recorded: RecordedEvent) -> Box:
    if event.things == SECRET:
        raise ValueError(f"the secret is {event.things}")
    return replace(row, things=row.things + event.things) if row else Box(event.box, event.things)


box_events = Events("box", WasPut)
boxes = Decider(box_events, key="box", initial=int, decide=decide, evolve=evolve)
view = View("boxes", events=[box_events], row=Box, key="box", project=project)


class Recorded:
    """What OpenTelemetry was told, in memory."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = tracers.get_tracer("test")
        meters = MeterProvider([self._reader])
        self.telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if span.name == name]

    def all_text(self) -> str:
        return "".join(span.to_json() for span in self._spans.get_finished_spans())

    def metric(self, name: str, **labels: str) -> float | None:
        """The sum, the value or the count of the points with these labels."""
        data: Any = self._reader.get_metrics_data()
        found = [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if metric.name == f"diptych.{name}"
            and {f"diptych.{key}": value for key, value in labels.items()}.items()
            <= dict(point.attributes).items()
        ]
        return sum(getattr(each, "count", getattr(each, "value", 0)) for each in found) or None


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def prometheus() -> Prometheus:
    return Prometheus()


@pytest.fixture(params=["memory", "sqlite"])
async def app(
    request: pytest.FixtureRequest, tmp_path: Path, recorded: Recorded, prometheus: Prometheus
) -> AsyncIterator[Application]:
    log = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'log.db'}"
    made = Application(
        log=log, write=[boxes], views=[view], telemetry=[recorded.telemetry, prometheus]
    )
    async with made:
        yield made


def value(prometheus: Prometheus, name: str, **labels: str) -> float | None:
    text, _ = prometheus.text()
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            if sample.name == f"diptych_{name}" and labels.items() <= sample.labels.items():
                return sample.value
    return None


async def test_one_trace_leads_from_a_request_to_the_row(
    app: Application, recorded: Recorded
) -> None:
    with recorded.tracer.start_as_current_span("request") as request:
        await app.dispatch(Put(uuid4(), 3))
    await app.caught_up()
    await wait_until(lambda: bool(recorded.spans("project boxes")))
    (command,) = recorded.spans("command Put")
    (append,) = recorded.spans("append")
    (page,) = recorded.spans("project boxes")
    traces = {span.context.trace_id for span in (command, append, page) if span.context}
    assert traces == {request.get_span_context().trace_id}
    assert command.parent == request.get_span_context()
    assert append.parent == command.context
    assert page.parent
    assert command.context
    assert (page.parent.span_id, page.parent.is_remote) == (command.context.span_id, True)
    assert dict(page.attributes or {}) == {
        "diptych.view": "boxes",
        "diptych.events": 3,
        "diptych.position.first": 1,
        "diptych.position.last": 3,
    }


async def test_the_trace_is_recorded_with_the_events(app: Application, recorded: Recorded) -> None:
    await app.dispatch(Put(uuid4(), 1))
    (span,) = recorded.spans("command Put")
    assert span.context
    event = (await app.log.read()).events[0]
    ids = f"{span.context.trace_id:032x}-{span.context.span_id:016x}"
    assert event.metadata.trace == f"00-{ids}-{span.context.trace_flags:02x}"
    assert event.metadata.command_id


async def test_a_page_of_many_traces_links_to_each_of_them(
    recorded: Recorded, tmp_path: Path
) -> None:
    """Projected by another process, and later."""
    log = f"sqlite:///{tmp_path / 'log.db'}"
    telemetry = [recorded.telemetry]
    async with Application(log=log, write=[boxes], telemetry=telemetry) as writer:
        for _ in range(5):
            await writer.dispatch(Put(uuid4(), 2))
    async with Application(log=log, views=[view], telemetry=telemetry) as reader:
        await reader.caught_up()
        await wait_until(lambda: bool(recorded.spans("project boxes")))
    (page,) = recorded.spans("project boxes")
    commands = [span.context for span in recorded.spans("command Put") if span.context]
    linked = [(link.context.trace_id, link.context.span_id) for link in page.links]
    assert linked == [(each.trace_id, each.span_id) for each in commands]
    assert page.parent is None


async def test_what_is_observed_is_counted_by_both(
    app: Application, recorded: Recorded, prometheus: Prometheus
) -> None:
    box = uuid4()
    for _ in range(4):
        await app.dispatch(Put(box, 2))
    with pytest.raises(TooMany):
        await app.dispatch(Put(box, 99))
    await app.caught_up()
    await wait_until(lambda: recorded.metric("log.appends") == 4)
    assert recorded.metric("command.duration", command="Put", outcome="ok") == 4
    assert recorded.metric("command.duration", command="Put", outcome="TooMany") == 1
    assert recorded.metric("append.duration", outcome="ok") == 4
    assert recorded.metric("append.events") == 8
    assert recorded.metric("projection.events", view="boxes") == 8
    assert recorded.metric("log.commits") == 4
    assert recorded.metric("view.live", view="boxes") == 1
    assert value(prometheus, "command_duration_seconds_count", command="Put", outcome="ok") == 4
    assert value(prometheus, "command_duration_seconds_count", outcome="TooMany") == 1
    assert value(prometheus, "append_duration_seconds_count", outcome="ok") == 4
    assert value(prometheus, "append_events_total") == 8
    assert value(prometheus, "projection_events_total", view="boxes") == 8
    assert value(prometheus, "log_commits_total") == 4
    assert value(prometheus, "log_appends_total") == 4
    assert value(prometheus, "view_live", view="boxes") == 1
    assert value(prometheus, "view_behind", view="boxes") == 0
    assert value(prometheus, "view_lag_seconds", view="boxes") == 0


async def test_a_conflict_with_another_process_is_counted(
    recorded: Recorded, prometheus: Prometheus, tmp_path: Path
) -> None:
    """The command takes effect all the same: it is decided again."""
    log, box = f"sqlite:///{tmp_path / 'log.db'}", uuid4()
    telemetry = [recorded.telemetry, prometheus]
    async with (
        Application(log=log, write=[boxes], telemetry=telemetry) as one,
        Application(log=log, write=[boxes]) as other,
    ):
        await one.dispatch(Put(box, 1))
        await other.dispatch(Put(box, 1))
        await one.dispatch(Put(box, 1))
    assert recorded.metric("append.conflicts") == 1
    assert value(prometheus, "append_conflicts_total") == 1
    assert recorded.metric("command.duration", outcome="ok") == 2


async def test_a_refusal_is_no_fault_and_an_error_is(app: Application, recorded: Recorded) -> None:
    with pytest.raises(TooMany):
        await app.dispatch(Put(uuid4(), 99))
    (refused,) = recorded.spans("command Put")
    assert refused.status.is_unset
    assert (refused.attributes or {})["error.type"] == "TooMany"

    def away() -> None:
        raise StorageUnavailable("away")

    with armed("execute.before_append", away), pytest.raises(StorageUnavailable):
        await app.dispatch(Put(uuid4(), 1))
    assert not recorded.spans("command Put")[1].status.is_ok
    assert recorded.spans("command Put")[1].status.description == "StorageUnavailable"


async def test_nothing_that_is_in_a_command_or_an_event_is_told(
    app: Application, recorded: Recorded, prometheus: Prometheus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "diptych.read.projector")  # its traceback is the operator's
    with pytest.raises(TooMany):
        await app.dispatch(Put(uuid4(), 99))
    box = uuid4()
    await app.dispatch(Put(box, SECRET))
    await wait_until(lambda: recorded.metric("projection.stops") == 1)
    text, content_type = prometheus.text()
    everything = recorded.all_text() + text.decode()
    assert content_type.startswith("text/plain")
    assert "stopped" in text.decode()
    for secret in (str(SECRET), "secret", str(box)):
        assert secret not in everything


async def test_stops_and_retries_are_counted_by_view(
    app: Application, recorded: Recorded, prometheus: Prometheus
) -> None:
    def away() -> None:
        raise StorageUnavailable("away")

    with armed("projector.before_commit", away, times=2):
        await app.dispatch(Put(uuid4(), 1))
        await app.caught_up()
    assert recorded.metric("projection.retries", view="boxes", outcome="StorageUnavailable") == 2
    assert value(prometheus, "projection_retries_total", error="StorageUnavailable") == 2
    await app.dispatch(Put(uuid4(), SECRET))
    await wait_until(lambda: value(prometheus, "view_stopped", view="boxes") == 1)
    assert value(prometheus, "projection_stops_total", view="boxes", error="ValueError") == 1
    assert recorded.metric("view.stopped", view="boxes") == 1


async def test_a_key_that_is_parked_is_counted(
    recorded: Recorded, prometheus: Prometheus, caplog: pytest.LogCaptureFixture
) -> None:
    parks = View("boxes", events=[box_events], row=Box, key="box", project=project, on_error="park")
    telemetry = [recorded.telemetry, prometheus]
    async with Application(
        log="memory://", write=[boxes], views=[parks], telemetry=telemetry
    ) as app:
        await app.dispatch(Put(uuid4(), SECRET))
        await app.dispatch(Put(uuid4(), 1))
        await app.caught_up()
    assert recorded.metric("projection.parks", view="boxes", outcome="ValueError") == 1
    assert value(prometheus, "projection_parks_total", view="boxes") == 1
    assert recorded.metric("projection.stops") is None


async def test_how_reactions_are_is_measured_as_well(
    recorded: Recorded, prometheus: Prometheus, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(event: WasPut, recorded: RecordedEvent) -> None:
        raise ConnectionError

    broken = Reaction("mail", events=[box_events], handle=fail, start="beginning")
    telemetry = [recorded.telemetry, prometheus]
    async with Application(
        log="memory://", write=[boxes], reactions=[broken], telemetry=telemetry
    ) as app:
        await app.dispatch(Put(uuid4(), 2))
        await wait_until(lambda: value(prometheus, "reaction_behind", reaction="mail") == 2)
        assert recorded.metric("reaction.behind", reaction="mail") == 2
        assert value(prometheus, "reaction_lag_seconds", reaction="mail")


class Broken(Prometheus):
    """Keeps no promise."""

    def looked(self, sample: Sample | None) -> None:
        raise ValueError("not ours")


async def test_telemetry_that_fails_on_a_sample_keeps_the_others_from_nothing(
    prometheus: Prometheus, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = [Broken(), prometheus]
    async with Application(
        log="memory://", write=[boxes], views=[view], telemetry=telemetry
    ) as app:
        await wait_until(lambda: value(prometheus, "log_appends_total") == 0)
        await app.dispatch(Put(uuid4(), 1))
        await wait_until(lambda: value(prometheus, "log_appends_total") == 1)
    assert "not ours" in caplog.text


async def test_telemetry_that_is_added_before_the_opening_observes_all() -> None:
    prometheus = Prometheus()
    app = Application(log="memory://", write=[boxes], views=[view])
    app.observe(prometheus)
    async with app:
        await app.dispatch(Put(uuid4(), 1))
        await app.caught_up()
        assert value(prometheus, "append_events_total") == 1
        assert value(prometheus, "projection_events_total", view="boxes") == 1


async def test_telemetry_cannot_be_added_to_an_application_that_is_open(app: Application) -> None:
    with pytest.raises(ConfigurationError, match="before"):
        app.observe(Prometheus())


async def test_without_telemetry_nothing_is_wrapped() -> None:
    """So it costs nothing: the very objects are there that would be without any of this."""
    async with Application(log="memory://", write=[boxes]) as app:
        assert app._left._executor.store is app.log.store
        (handle,) = app._left.bus._handles.values()
        assert getattr(handle, "func", None) == app._left._executor.execute


async def test_a_database_that_cannot_be_asked_leaves_no_old_values(
    app: Application, recorded: Recorded, prometheus: Prometheus, caplog: pytest.LogCaptureFixture
) -> None:
    await wait_until(lambda: value(prometheus, "view_live", view="boxes") == 1)
    await app._right.close()
    await wait_until(lambda: value(prometheus, "view_live", view="boxes") is None)
    assert recorded.metric("view.live") is None
    await wait_until(lambda: "cannot be looked at" in caplog.text)
    assert caplog.text.count("cannot be looked at") == 1


def test_several_processes_of_one_service_are_counted_together(tmp_path: Path) -> None:
    """Behind one socket any of them may be asked."""
    code = (
        "from diptych.telemetry import Prometheus\n"
        "prometheus = Prometheus()\n"
        "with prometheus.command(int, None):\n"
        "    pass\n"
        "prometheus.retried('boxes', ValueError())\n"
        "print(prometheus.text()[0].decode())"
    )
    for _ in range(3):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert 'diptych_command_duration_seconds_count{command="int",outcome="ok"} 3.0' in ran.stdout
    assert 'diptych_projection_retries_total{error="ValueError",view="boxes"} 3.0' in ran.stdout
