"""`declared` and `load`: which application is meant, and what `MODULE:FACTORY` stands for."""

import inspect
import os
import sys
import tomllib
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from diptych.app import Application
from diptych.errors import ConfigurationError, DiptychError

VARIABLE: Final = "DIPTYCH_APP"
_FILE: Final = "pyproject.toml"
_FORM: Final = "write MODULE:FACTORY, as in examples.orders.app:application"


def declared(option: str | None, argument: str | None = None) -> tuple[str, Path]:
    """Which application is meant, and the folder that its modules are looked for in first.

    The command line comes first, then the variable `DIPTYCH_APP`, then `app` in `[tool.diptych]`
    of the `pyproject.toml` of this folder, or of the nearest one above that has such a table.

    Raises: ConfigurationError: nothing says it, or two things do.
    """
    if option and argument:
        raise ConfigurationError(f"both --app and {argument!r} name an application: give one")
    if named := option or argument or os.environ.get(VARIABLE):
        return named, Path.cwd()
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (file := folder / _FILE).is_file() and (found := _app_in(file)) is not None:
            return found, folder
    raise ConfigurationError(
        f"no application is named: write --app MODULE:FACTORY, set {VARIABLE}, or write app ="
        f' "MODULE:FACTORY" under [tool.diptych] in {_FILE}'
    )


def _app_in(file: Path) -> str | None:
    try:
        table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("diptych", {})
        found = table.get("app")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error
    if found is not None and not isinstance(found, str):
        raise ConfigurationError(f"app in [tool.diptych] of {file} is not text: {_FORM}")
    return found


def load(target: str, folder: Path | None = None) -> Application:
    """The application that a factory returns, or that a module holds; not opened yet.

    `folder`, without it the working directory, is looked in first, as `python -m` does.

    Raises: ConfigurationError: there is none; one line that says why. DiptychError: the factory's.
    """
    module_name, _, path = target.partition(":")
    names = [*module_name.split("."), *path.split(".")]
    if not all(name.isidentifier() for name in names):
        raise ConfigurationError(f"{target!r}: {_FORM}")
    module: object = _import(module_name, folder or Path.cwd())
    found = reduce(_attribute, path.split("."), module)
    if isinstance(found, Application):
        return found
    if not callable(found):
        raise ConfigurationError(
            f"{target} is {_a(found)}: it must be an Application, or a function that returns one"
        )
    return _call(found, target)


def _import(name: str, folder: Path) -> ModuleType:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _failed(f"the module {name} cannot be imported", error) from error
        raise ConfigurationError(
            f"there is no module {error.name} here ({folder}) or among the installed ones"
        ) from error
    except DiptychError:
        raise
    except Exception as error:
        raise _failed(f"the module {name} cannot be imported", error) from error


def _attribute(owner: object, name: str) -> object:
    if hasattr(owner, name):
        return getattr(owner, name)
    near = get_close_matches(name, [each for each in dir(owner) if each[:1] != "_"], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    owner_name = getattr(owner, "__name__", type(owner).__name__)
    raise ConfigurationError(f"{owner_name} has no {name}{hint}")


def _call(factory: Callable[..., object], target: str) -> Application:
    needed = [each.name for each in _parameters(factory) if _is_needed(each)]
    if needed:
        raise ConfigurationError(
            f"{target} needs {', '.join(needed)}: name a function that needs no arguments"
        )
    if inspect.iscoroutinefunction(factory):
        raise ConfigurationError(f"{target} is async: name a plain function")
    try:
        made = factory()
    except DiptychError:
        raise
    except Exception as error:
        raise _failed(f"{target} failed", error) from error
    if not isinstance(made, Application):
        raise ConfigurationError(f"{target} returned {_a(made)}, not an Application")
    return made


def _parameters(factory: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(factory).parameters.values())
    except ValueError:  # some built-in functions tell nothing
        return []


def _is_needed(parameter: inspect.Parameter) -> bool:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in several


def _failed(what: str, error: Exception) -> ConfigurationError:
    """One line; where it happened is the last line of code outside of the import system. Only
    names are repeated, of modules, variables and keys: other words may have a secret in them."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
    ]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    kinds = ImportError, SyntaxError, NameError, AttributeError, KeyError
    first = next(iter(str(error).splitlines()), "") if isinstance(error, kinds) else ""
    words = f": {first}" if first else ""
    return ConfigurationError(f"{what}: {type(error).__name__}{words}{where}")


def _a(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1] in "AEIOUaeiou" else f"a {name}"
