"""Applications that the `diptych` command cannot run."""

import os
from pathlib import Path

from diptych import Application
from examples.orders.app import shop


def folder() -> Path:
    return Path(os.environ["FOLDER"])


def nothing_to_do() -> Application:
    return Application(log="memory://")


def same_file() -> Application:
    return shop(f"sqlite:///{folder() / 'one.db'}", f"sqlite:///{folder() / 'one.db'}")


def no_database() -> Application:
    """There is a text where the log should be."""
    (folder() / "there.db").write_text("this is not a database" * 1_000)
    return shop(f"sqlite:///{folder() / 'there.db'}", "sqlite://")
