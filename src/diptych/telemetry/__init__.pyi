from diptych.telemetry.contract import Sample as Sample
from diptych.telemetry.contract import Telemetry as Telemetry
from diptych.telemetry.opentelemetry import OpenTelemetry as OpenTelemetry
from diptych.telemetry.prometheus import Prometheus as Prometheus
