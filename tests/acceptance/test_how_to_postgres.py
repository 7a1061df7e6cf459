"""What docs/how-to/postgres.md says to type does what it says."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import msgspec
import pytest

from diptych.errors import StorageDenied
from diptych.testing.waiting import wait_until
from examples.orders.app import shop
from examples.orders.order import CreateOrder
from examples.orders.summaries import GetOrder
from tests.acceptance.conftest import new_order
from tests.acceptance.process import ROOT, environment_of, run_module, until
from tests.servers.postgres import PostgresServer

PAGE = (ROOT / "docs" / "how-to" / "postgres.md").read_text()
FACTORY = "examples.orders.app:application"
DOCUMENTED = "127.0.0.1:5432/shop"


def block(name: str) -> str:
    found = re.search(rf"<!-- {name}:begin.*?```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, name
    return found[1]


def statements(name: str) -> list[str]:
    return [line.rstrip(";") for line in block(name).splitlines()]


@pytest.fixture
def shop_url(postgres: PostgresServer) -> Iterator[str]:
    """The database that the page makes, with the rights that it gives."""
    postgres.execute(*statements("rights"))
    yield postgres.url("shop", user="shop_owner")
    postgres.execute("DROP DATABASE shop WITH (FORCE)", "DROP ROLE shop_owner")


@contextmanager
def typed(name: str, folder: Path, url: str) -> Iterator[Path]:
    """The lines of a block in a shell, as a user types them, but at our server and free ports."""
    lines = [line.removeprefix("$ ") for line in block(name).splitlines()]
    script = "\n".join(lines).replace(DOCUMENTED, url.partition("@")[2])
    script = re.sub(r"PORT=\d+", "PORT=0", script).replace("data/", f"{folder}/")
    script = re.sub(r"\bDATA=", f"DATA={folder}/", script).replace(
        "python -m", f"{sys.executable} -m"
    )
    printed = folder / "printed.txt"
    with printed.open("wb") as output:
        shell = subprocess.Popen(
            [
                "bash",
                "-c",
                f'diptych() {{ {sys.executable} -m diptych.cli "$@"; }}\n{script}\nwait',
            ],
            cwd=ROOT,
            env=environment_of({"PORT": "0"}),
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        yield printed
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(timeout=30)
        until(lambda: not _is_running(shell.pid))


def _is_running(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def services(printed: Path) -> list[str]:
    """The addresses of the services that answer."""
    found = re.findall(r"order service: (http://\S+)", printed.read_text())
    return [url for url in found if _is_ready(url)]


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def create(url: str) -> tuple[str, dict[str, str]]:
    answer = httpx.post(f"{url}/orders", json=new_order())
    assert answer.status_code == 201, answer.text
    return answer.headers["location"], {"Diptych-Token": answer.headers["diptych-token"]}


@pytest.mark.parametrize("name", ["processes", "sqlite"])
def test_web_workers_and_a_projector_work_together(
    name: str, shop_url: str, tmp_path: Path
) -> None:
    with typed(name, tmp_path, shop_url) as printed:
        until(lambda: len(services(printed)) == 1)
        (url,) = services(printed)
        path, token = create(url)
        answer = httpx.get(f"{url}{path}", headers=token)
        assert (answer.status_code, answer.headers.get("diptych-stale")) == (200, None)
        until(lambda: "order_summaries: live" in printed.read_text())
        if name == "processes":
            until(lambda: "projected by\n" in printed.read_text())


def test_a_client_moves_between_read_nodes(shop_url: str, tmp_path: Path) -> None:
    with typed("nodes", tmp_path, shop_url) as printed:
        until(lambda: len(services(printed)) == 2)
        one, two = services(printed)
        path, token = create(one)
        assert httpx.get(f"{two}{path}", headers=token).json()["status"] == "open"
    assert (tmp_path / "node-1" / "read.db").exists()
    assert (tmp_path / "node-2" / "read.db").exists()


async def test_the_rights_that_are_granted_are_enough_and_no_more(
    shop_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Enough for commands, views and reactions; not for changing what was recorded."""
    urls = {"DIPTYCH_LOG": shop_url, "DIPTYCH_READ": shop_url}
    made = run_module("diptych.cli", "run", "--until-caught-up", FACTORY, **urls)
    assert made.returncode == 0, made.stderr
    postgres.execute(*statements("grants"), database="shop")
    less = postgres.url("shop", user="shop_app")
    try:
        async with shop(less, less, outbox=tmp_path) as app:
            assert (await app.ready()).ready
            command = msgspec.convert({**new_order(), "order_id": uuid4()}, CreateOrder)
            outcome = await app.dispatch(command)
            assert await app.query(GetOrder(command.order_id), at_least=outcome.token)
            await wait_until(lambda: bool(list(tmp_path.iterdir())))
            (reaction,) = await app.operations.reactions()
            assert not reaction.error
            revoke = "REVOKE ALL ON diptych_read.diptych_retries FROM shop_app"
            postgres.execute(revoke, database="shop")
            with pytest.raises(StorageDenied):
                await app.operations.rebuild(["order_summaries"])
            revisions = await app.operations.revisions()
            assert {each.status for each in revisions} == {"serving"}  # nothing was begun
            later = "SET ROLE shop_owner; CREATE TABLE diptych_read.later (id serial)"
            postgres.execute(later, database="shop")
            act = "INSERT INTO diptych_read.later DEFAULT VALUES"
            postgres.execute(f"SET ROLE shop_app; {act}", database="shop")
        with pytest.raises(Exception, match="permission denied"):
            postgres.execute("SET ROLE shop_app; DELETE FROM diptych.events", database="shop")
    finally:
        postgres.execute("DROP OWNED BY shop_app", database="shop")
        postgres.execute("DROP ROLE shop_app")


def test_every_address_in_the_page_is_one_that_is_understood() -> None:
    found = re.findall(r"`(?:log=|read=)?(postgresql://[^`\s…]+|sqlite:///[^`\s]+)`", PAGE)
    assert len(found) >= 8
    for url in found:
        if "password@host" not in url:
            shop(
                url if "replica" not in url else "memory://",
                url if urlsplit(url).scheme != "sqlite" else "sqlite://",
            )


def test_what_the_page_says_to_install_and_make_is_there() -> None:
    project, makefile = (ROOT / "pyproject.toml").read_text(), (ROOT / "Makefile").read_text()
    for extra in ("postgres", "cli"):
        assert re.search(rf"^{extra} = ", project, re.MULTILINE)
    assert re.search(r"^run-postgres:", makefile, re.MULTILINE)
