"""Starts the `diptych` command; also as `python -m diptych.cli`."""

import sys
from importlib import import_module
from importlib.util import find_spec


def main() -> None:
    """The entry point. Says in one line what to install if the extra is missing."""
    if not all(find_spec(name) for name in ("click", "rich")):
        sys.exit("diptych: the command needs an extra: pip install 'diptych[cli]'")
    import_module("diptych.cli.commands").diptych(prog_name="diptych")


if __name__ == "__main__":
    main()
