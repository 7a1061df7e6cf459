"""The HTTP edge, for FastAPI: commands, queries, problems, tokens, limits."""

from diptych.web.decode import from_body, from_parameters
from diptych.web.edge import Edge, json_response
from diptych.web.guard import Guard, Limits
from diptych.web.health import add_health_routes, add_metrics_route, lifespan
from diptych.web.openapi import Document
from diptych.web.problems import Problem, Problems, RequestRefused
from diptych.web.serve import listen, serve
from diptych.web.workers import Worker, WorkerFailed, run_workers

__all__ = [
    "Document",
    "Edge",
    "Guard",
    "Limits",
    "Problem",
    "Problems",
    "RequestRefused",
    "Worker",
    "WorkerFailed",
    "add_health_routes",
    "add_metrics_route",
    "from_body",
    "from_parameters",
    "json_response",
    "lifespan",
    "listen",
    "run_workers",
    "serve",
]
