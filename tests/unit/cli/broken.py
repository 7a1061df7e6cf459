"""A module that cannot be imported, as one of its own imports is not there."""

import no_such_library  # noqa: F401
