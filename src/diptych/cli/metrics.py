"""`--metrics`: answers Prometheus while `diptych run` projects."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from prometheus_client import start_http_server

from diptych.app import Application
from diptych.errors import ConfigurationError
from diptych.telemetry.prometheus import Prometheus

_LOOPBACK: Final = "127.0.0.1"


@contextmanager
def serving(app: Application, where: str) -> Generator[str]:
    """Tell the metrics of `app`, which is not open yet, at `[HOST:]PORT`; gives the URL.

    Those of its own `Prometheus`, if it has one.

    Raises: ConfigurationError: `where` is no such thing. OSError: nobody can listen there.
    """
    host, port = _parsed(where)
    prometheus = next((each for each in app.telemetry if isinstance(each, Prometheus)), None)
    if prometheus is None:
        prometheus = Prometheus()
        app.observe(prometheus)
    server, thread = start_http_server(port, host, prometheus.readable)
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _parsed(where: str) -> tuple[str, int]:
    """Without a host it is for this machine only: metrics name commands and views."""
    try:
        parts = urlsplit(f"//{where}" if ":" in where else f"//{_LOOPBACK}:{where}")
        if parts.port is not None and not (parts.path or parts.username):
            return parts.hostname or _LOOPBACK, parts.port
    except ValueError:
        pass
    raise ConfigurationError(f"--metrics {where}: write PORT, or HOST:PORT")
