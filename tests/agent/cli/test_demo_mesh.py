"""What the demo of the mesh registers and writes; running it is tests/e2e/test_demo_mesh.py."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from meshagent.agent.cli.client import Client, Endpoint
from meshagent.agent.cli.demo_collector import Collector
from meshagent.agent.cli.demo_mesh import (
    CHAPTERS,
    MeshDemo,
    entries,
    registrations,
    request,
    shown,
    suggest,
    to_try,
    tracing,
)
from meshagent.errors import MeshError


def test_every_instance_has_a_sidecar_at_its_own_port() -> None:
    names = ("api-v1-a", "api-v1-b", "api-v2", "web")
    made = registrations(dict.fromkeys(names, 80), 9000, {name: 20000 + at for at, name in enumerate(names)})
    assert [one["ID"] for one in made] == list(names)
    ports = [one["Connect"]["SidecarService"]["Port"] for one in made]
    assert ports == [20000, 20001, 20002, 20003]
    assert made[-1]["Connect"]["SidecarService"]["Proxy"]["Upstreams"][0]["LocalBindPort"] == 9000


@pytest.mark.parametrize("share", [0, 10, 50])
def test_shares_are_whole(share: int) -> None:
    splitter = next(one for one in entries(share) if one["Kind"] == "service-splitter")
    assert sum(split["Weight"] for split in splitter["Splits"]) == 100


def test_figures_are_shown_in_order() -> None:
    assert shown(Counter({"b": 1, "a": 2})) == "2 x a, 1 x b"
    assert len({title for title, _ in CHAPTERS}) == len(CHAPTERS) == 6


def test_nobody_there_is_no_answer() -> None:
    status, reason = request(1, "/")
    assert status == 0
    assert reason


def a_demo(address: str) -> MeshDemo:
    return MeshDemo(Client(Endpoint(address=address)), {}, 9191, 20000, lambda what, ready: None, Collector())


def test_what_to_try_leads_to_this_agent() -> None:
    lines = [line for _, line in to_try(a_demo("127.0.0.1:1"), "meshagent", " -http-addr=127.0.0.1:1")]
    assert lines[0] == "curl http://127.0.0.1:9191/"
    assert all(" -http-addr=127.0.0.1:1" in line for line in lines[1:])


def test_only_traces_that_were_asked_for_are_sent() -> None:
    assert tracing("http://x")["Config"] == {"otlp_endpoint": "http://x", "trace_sampling_percent": 0}


def test_what_was_seen_is_told_as_rules(stub: Any) -> None:
    edge = {"direction": "inbound", "source": "web", "destination": "api", "paths": [["GET", "/", 3]], "connections": 0}
    sidecars = [{"Node": "n1", "Service": "api", "ProxyID": "api", "Edges": [edge]}]
    stub.answer("connect/edges", {"Sidecars": sidecars, "Missing": []})
    assert suggest(a_demo(stub.address)).endswith("for api allow web (seen 3 times); deny *")
    stub.answer("connect/edges", {"Sidecars": [], "Missing": [{"Node": "n1", "ProxyID": "api", "Reason": "away"}]})
    with pytest.raises(MeshError, match="n1, api: away"):
        suggest(a_demo(stub.address))
