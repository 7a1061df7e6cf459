"""`Refusing`: the errors of routes that FastAPI solves, answered as problems."""

from dataclasses import replace

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from diptych.errors import DiptychError
from diptych.web.headers import IF_MATCH
from diptych.web.problems import Problems


class Refusing:
    """Exception handlers. Ours answer our errors; of a `whole_app`, those of HTTP and FastAPI too.

    A handler that the app has already is left in its place.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def install(self, api: FastAPI, *, whole_app: bool) -> None:
        api.exception_handlers.setdefault(DiptychError, self._answer)
        if whole_app:
            for kind in (HTTPException, RequestValidationError):
                api.add_exception_handler(kind, self._answer)

    async def _answer(self, request: Request, error: Exception) -> Response:
        problem = self._problems.of(error, conditional=IF_MATCH in request.headers)
        if problem.status == 405:
            problem = replace(problem, headers={"Allow": ", ".join(_methods(request))})
        return problem.response()


def _methods(request: Request) -> list[str]:
    """Those of all routes of this path; Starlette lists those of the first one only."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    matched = (route.path for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    path = next(matched, None)
    return sorted({name for route in routes if route.path == path for name in route.methods or ()})
