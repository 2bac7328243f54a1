from __future__ import annotations

import pytest
from meshtest.httpapi import instance

from meshagent.agent.core import Agent
from meshagent.agent.http.narrow import filtered, narrow, node_meta
from meshagent.agent.http.request import Query, Request
from meshagent.catalog import queries
from meshagent.errors import InternalError


def ask(query: str) -> Request:
    return Request("GET", "/v1/x", Query(query))


def test_c23_node_meta() -> None:
    assert node_meta(ask("node-meta=a:1&node-meta=b:2")) == {"a": "1", "b": "2"}
    assert node_meta(ask("")) == {}


def test_c21_filter(agent: Agent) -> None:
    for name in ("web", "db"):
        agent.store.execute(instance("n", name))
    rows = queries.health_node(agent.store, "n").rows
    assert [row.service_name for row in filtered(ask("filter=ServiceName==db"), "check", rows)] == ["db"]
    assert filtered(ask("filter="), "check", rows) is rows
    with pytest.raises(InternalError, match="not valid"):
        filtered(ask("filter=Foo==1"), "check", [])


def test_a_plain_read_is_passed_through(agent: Agent) -> None:
    result = queries.nodes(agent.store)
    assert narrow(agent, ask(""), result, "node", lambda node: node.name) is result


def test_c22_near_depends_on_the_coordinates(agent: Agent) -> None:
    result = queries.nodes(agent.store)
    assert "coordinates" in narrow(agent, ask("near=n1"), result, "node", lambda node: node.name).topics
    assert "coordinates" not in narrow(agent, ask("filter=Node==a"), result, "node", lambda node: node.name).topics
