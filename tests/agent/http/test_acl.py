from __future__ import annotations

import pytest
from meshtest.httpapi import Api

from meshagent.agent.http.routes import load_routes

ROUTES = [route for route in load_routes() if "/acl/" in route.path]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_ac_everything_is_401_while_acls_are_off(api: Api, route: object) -> None:
    answer = await api.ask(route.method, route.path + ("x" if route.path.endswith("/") else ""))  # type: ignore[attr-defined]
    assert (answer.status, answer.text) == (401, "ACL support disabled")
