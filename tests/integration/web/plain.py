"""A service of doors as users run it: `uvicorn tests.integration.web.plain:api`."""

from fastapi import FastAPI

from diptych.web import live_route, mount
from tests.integration.web.doors import CountDoors, house, routes

api = FastAPI()
mount(api, house(), routes=[*routes(), live_route("GET /doors/count/events", CountDoors)])
