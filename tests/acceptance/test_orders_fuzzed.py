"""Schemathesis sends what the OpenAPI document allows, and what it forbids, alone and in sequences.

Nothing may be answered with a 5xx, nor otherwise than the document says; what it forbids must be
refused, and what it allows must be accepted: so the document tells every limit that there is.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.process import ROOT, process
from tests.soak import SOAK

EXAMPLES = 12 * SOAK
SETTINGS = """
[generation]
allow-x00 = false  # refused, which a schema cannot say well: see test_orders_bad_input
database = "none"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 409, 412]
"""


@pytest.mark.soak
@pytest.mark.timeout(120 * SOAK)
def test_what_the_document_says_is_so(tmp_path: Path) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    with process(tmp_path / "data") as service:
        service.start()
        found = fuzz(f"{service.url}/openapi.json", settings, seed=1 if SOAK == 1 else None)
        code, printed = service.stop()
    assert found.returncode == 0, found.stdout
    assert "Operations:       8 selected" in found.stdout, found.stdout
    assert (code, "Traceback" in printed) == (0, False), printed


def fuzz(url: str, settings: Path, *, seed: int | None) -> subprocess.CompletedProcess[str]:
    """All phases over every route but the streams, whose answers do not end."""
    command = Path(sys.executable).with_name("schemathesis")
    arguments = ["--exclude-path-regex", "/events$", "--max-examples", str(EXAMPLES), "--no-color"]
    arguments += ["--continue-on-failure", *([] if seed is None else ["--seed", str(seed)])]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.acceptance.fuzz_hooks", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [command, "--config-file", settings, "run", url, *arguments],
        cwd=settings.parent,
        env={**os.environ, **hooks},
        capture_output=True,
        text=True,
        check=False,
    )
