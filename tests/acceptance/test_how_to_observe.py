"""The how-to on watching a service lists what there is: each metric, and each cause."""

import re
from pathlib import Path
from typing import Any

from opentelemetry.metrics import MeterProvider, NoOpMeter, NoOpMeterProvider

from diptych.read.explanation import Why
from diptych.telemetry import OpenTelemetry, Prometheus
from diptych.telemetry.agreements import TERMS

TEXT = (Path(__file__).parents[2] / "docs/how-to/observe.md").read_text()
ROW = re.compile(r"^\| `(diptych\.[\w.]+)` \| `(diptych_\w+)` \|([\w, ]*)\|", re.MULTILINE)
METRICS = [(one, other, labels.strip()) for one, other, labels in ROW.findall(TEXT)]


class Meter(NoOpMeter):
    """Keeps the names of the instruments that are made."""

    def __init__(self) -> None:
        super().__init__("diptych")
        self.names: list[str] = []

    def create_counter(self, name: str, *args: Any, **more: Any) -> Any:
        self.names.append(name)
        return super().create_counter(name, *args, **more)

    def create_histogram(self, name: str, *args: Any, **more: Any) -> Any:
        self.names.append(name)
        return super().create_histogram(name, *args, **more)

    def create_observable_gauge(self, name: str, *args: Any, **more: Any) -> Any:
        self.names.append(name)
        return super().create_observable_gauge(name, *args, **more)


class Meters(NoOpMeterProvider):
    def __init__(self) -> None:
        self.meter = Meter()

    def get_meter(self, *args: Any, **more: Any) -> Meter:
        return self.meter


def test_each_metric_of_opentelemetry_is_listed() -> None:
    meters = Meters()
    provider: MeterProvider = meters
    OpenTelemetry(meter_provider=provider)
    assert sorted(meters.meter.names) == sorted(name for name, _, _ in METRICS)


def test_each_metric_of_prometheus_is_listed_with_its_labels() -> None:
    families = Prometheus().registry.collect()
    made = {f"{each.name}{'_total' if each.type == 'counter' else ''}" for each in families}
    assert made == {name for _, name, _ in METRICS}
    assert {labels for _, name, labels in METRICS if "projection_" in name} == {
        "view",
        "view, error",
        "view, outcome",
    }


def test_both_have_the_same_metrics_in_the_same_words() -> None:
    for one, other, _ in METRICS:
        plain = other.removesuffix("_total").removesuffix("_seconds").removesuffix("_events")
        assert one.replace(".", "_").startswith(plain)


def test_each_cause_is_listed() -> None:
    table = TEXT.partition("| `why` |")[2].partition("\n\n")[0]
    listed = re.findall(
        r"`([a-z ]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])
    )
    assert sorted(listed) == sorted(each.value for each in Why)


def test_each_warning_is_listed() -> None:
    for term in TERMS:
        assert f"`{term.broken}`" in TEXT
        assert f"`{term.met}`" in TEXT
