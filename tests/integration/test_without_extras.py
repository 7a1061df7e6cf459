"""An installation without extras: what it does not need it does not ask for."""

import subprocess
import sys

_CODE = """
import sys
for name in (
    *("greenlet", "asyncpg", "fastapi", "uvicorn", "pydantic", "click", "rich", "httpx"),
    *("opentelemetry", "prometheus_client"),
):
    sys.modules[name] = None
import asyncio
import diptych.telemetry
from diptych import Application, ConfigurationError
async def main():
    async with Application(log="memory://"):
        print("open")
    try:
        Application(log="memory://", read="postgresql://host/db")
    except ConfigurationError as error:
        print(error)
    for name in ("OpenTelemetry", "Prometheus"):
        try:
            getattr(diptych.telemetry, name)
        except ConfigurationError as error:
            print(error)
asyncio.run(main())
"""


def test_sqlite_needs_no_extra_and_what_needs_one_says_which() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _CODE], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    opened, *advice = ran.stdout.splitlines()
    assert opened == "open"
    for extra, line in zip(("postgres", "otel", "metrics"), advice, strict=True):
        assert f"pip install 'diptych[{extra}]'" in line
