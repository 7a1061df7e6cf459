"""The HTTP edge, for FastAPI: commands, queries, identity, problems, tokens, limits."""

from diptych.web.caller import Caller
from diptych.web.decode import from_body, from_parameters, in_body, in_parameters
from diptych.web.edge import Edge
from diptych.web.guard import Guard, Limits
from diptych.web.health import add_health_routes, add_metrics_route, lifespan
from diptych.web.identity import (
    NOBODY,
    Actor,
    Allow,
    Forbidden,
    Identity,
    Unauthorized,
    anyone,
    known,
    role,
)
from diptych.web.mount import Mount, mount
from diptych.web.openapi import Document
from diptych.web.origins import CrossSiteRequest
from diptych.web.problems import Problem, Problems, RequestRefused, TimeLimit
from diptych.web.reply import json_response
from diptych.web.routes import (
    CommandRoute,
    LiveRoute,
    QueryRoute,
    command_route,
    live_route,
    query_route,
)
from diptych.web.serve import listen, serve
from diptych.web.workers import Worker, WorkerFailed, run_workers

__all__ = [
    "NOBODY",
    "Actor",
    "Allow",
    "Caller",
    "CommandRoute",
    "CrossSiteRequest",
    "Document",
    "Edge",
    "Forbidden",
    "Guard",
    "Identity",
    "Limits",
    "LiveRoute",
    "Mount",
    "Problem",
    "Problems",
    "QueryRoute",
    "RequestRefused",
    "TimeLimit",
    "Unauthorized",
    "Worker",
    "WorkerFailed",
    "add_health_routes",
    "add_metrics_route",
    "anyone",
    "command_route",
    "from_body",
    "from_parameters",
    "in_body",
    "in_parameters",
    "json_response",
    "known",
    "lifespan",
    "listen",
    "live_route",
    "mount",
    "query_route",
    "role",
    "run_workers",
    "serve",
]
