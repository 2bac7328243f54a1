from __future__ import annotations

import pytest
from meshtest.httpapi import Api

from meshagent.agent.http.discovery_chain import ROUTES
from meshagent.agent.http.routes import Route


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}{route.suffix}")
async def test_what_is_not_built_says_so(api: Api, route: Route) -> None:
    name = "x" if route.path.endswith("/") else ""
    answer = await api.ask(route.method, f"{route.path}{name}{route.suffix}")
    assert not route.built, "write its tests"
    assert answer.status == 501
    assert answer.text == f"{route.method} {route.path}{route.suffix} is not built yet in meshagent: {route.summary}"
