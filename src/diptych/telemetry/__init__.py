"""Telemetry: what an application does and how it is, for OpenTelemetry and for Prometheus.

    app = Application(..., telemetry=[OpenTelemetry(), Prometheus()])

Each needs its extra (`diptych[otel]`, `diptych[metrics]`), and is imported when it is first used.
"""

from importlib import import_module
from typing import Any

from diptych.errors import ConfigurationError

_WHERE = {
    "OpenTelemetry": ("diptych.telemetry.opentelemetry", "opentelemetry-api", "otel"),
    "Prometheus": ("diptych.telemetry.prometheus", "prometheus-client", "metrics"),
    "Sample": ("diptych.telemetry.contract", "", ""),
    "Telemetry": ("diptych.telemetry.contract", "", ""),
}

__all__ = sorted(_WHERE)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Raises: ConfigurationError: the package that it needs is not installed."""
    if name not in _WHERE:
        raise AttributeError(f"module 'diptych.telemetry' has no attribute {name!r}")
    module, package, extra = _WHERE[name]
    try:
        value = getattr(import_module(module), name)
    except ImportError as error:
        if not package:
            raise
        raise ConfigurationError(
            f"{name} needs {package}: pip install 'diptych[{extra}]'"
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
