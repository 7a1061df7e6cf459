"""What docs/how-to/live-queries.md shows of a stream is what the order service sends."""

import re
import subprocess
from pathlib import Path

import httpx

from tests.acceptance.conftest import new_order
from tests.acceptance.process import ROOT, Process

TEXT = (ROOT / "docs" / "how-to" / "live-queries.md").read_text("utf-8")


def test_an_order_is_followed_by_curl(tmp_path: Path) -> None:
    (block,) = re.findall(r"```console\n\$ (.*?)\n(.*?)```", TEXT, re.DOTALL)
    command, shown = block
    service = Process(tmp_path / "data")
    service.start()
    try:
        order = {**new_order(), "customer_name": "Ada"}
        order_id = httpx.post(f"{service.url}/orders", json=order).json()["order_id"]
        filled = command.replace("http://127.0.0.1:8000", service.url).replace(
            "{order_id}", order_id
        )
        with subprocess.Popen(filled.split(), stdout=subprocess.PIPE, text=True) as curl:
            assert curl.stdout is not None
            lines = [curl.stdout.readline() for _ in range(6)]
            httpx.post(f"{service.url}/orders/{order_id}/ship")
            lines.extend(curl.stdout.readline() for _ in range(3))
            curl.terminate()
    finally:
        service.stop()
    pattern = re.escape(shown).replace("…", ".*")
    assert re.fullmatch(pattern, "".join(lines))
