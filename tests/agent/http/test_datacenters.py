from __future__ import annotations

import pytest

from meshagent.agent.core import Agent
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import Query, Request
from meshagent.errors import InternalError


@pytest.mark.parametrize("query", ["", "dc=dc1", "dc=dc9&datacenter=dc1"])
def test_c9_ours(agent: Agent, query: str) -> None:
    require_local(agent, Request("GET", "/v1/x", Query(query)))


@pytest.mark.parametrize("query", ["dc=dc9", "datacenter=dc9&dc=dc1"])
def test_c5_another(agent: Agent, query: str) -> None:
    with pytest.raises(InternalError, match=r"^No path to datacenter$"):
        require_local(agent, Request("GET", "/v1/x", Query(query)))
