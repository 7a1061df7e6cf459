"""An installation without extras: what it does not need it does not ask for."""

import subprocess
import sys

_CODE = """
import sys
for name in ("greenlet", "asyncpg", "fastapi", "uvicorn", "pydantic", "click", "rich", "httpx"):
    sys.modules[name] = None
import asyncio
from diptych import Application, ConfigurationError
async def main():
    async with Application(log="memory://"):
        print("open")
    try:
        Application(log="memory://", read="postgresql://host/db")
    except ConfigurationError as error:
        print(error)
asyncio.run(main())
"""


def test_sqlite_needs_no_extra_and_postgresql_says_which_one() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _CODE], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    opened, advice = ran.stdout.splitlines()
    assert opened == "open"
    assert "pip install 'diptych[postgres]'" in advice
