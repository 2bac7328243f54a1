"""Every endpoint with generated input: nothing fails inside, nothing is logged as a failure, the agent goes on.

Bodies are recorded ones with values put in the place of others, so that they reach behind the decoder. Seeded: a
failing request is printed and can be sent again. MESHTEST_REQUESTS of each endpoint, 12 unless told.
"""

from __future__ import annotations

import copy
import http.client
import json
import os
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from meshtest.process import AgentProcess

from meshagent.agent.http.routes import Route, load_routes

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "http"
#: These end the agent, wait for what does not come, or change who is a member.
LEFT_OUT = (
    "/v1/agent/leave",
    "/v1/agent/connect/proxies",
    "/v1/agent/connect/proxy",
    "/v1/agent/monitor",
    "/v1/agent/metrics/stream",
    "/v1/connect/tap",
    "/v1/agent/join/",
    "/v1/agent/force-leave/",
    "/v1/agent/maintenance",
    "/v1/operator/raft/peer",
    "/v1/operator/raft/transfer-leader",
    "/v1/snapshot",
)
STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    -(2**70),
    "",
    "x",
    "x" * 3000,
    "\0",
    "é\ud7ff",
    "../..",
    "%s%n",
    "{{.}}",
    "1h",
    "-1s",
    "9999999h",
    [],
    [None],
    [[]],
    {},
    {"": None},
    {"a": {"b": [1, "2"]}},
    ["a", 1, {}],
    "*",
    "::",
    "10.0.0.1/99",
)
QUERIES = (
    "index",
    "wait",
    "stale",
    "consistent",
    "cached",
    "filter",
    "near",
    "node-meta",
    "tag",
    "passing",
    "dc",
    "ns",
    "cas",
    "acquire",
    "release",
    "flags",
    "recurse",
    "keys",
    "separator",
    "raw",
    "kind",
    "name",
    "by",
    "source",
    "destination",
    "format",
    "pretty",
    "service",
    "node",
    "wan",
    "limit",
    "token",
    "prune",
    "peer",
    "compile-dc",
    "relay-factor",
    "note",
)
VALUES = (
    "",
    "0",
    "-1",
    "1",
    "x",
    "99999999999999999999",
    "true",
    "1ms",
    "1h",
    "Node == x",
    "((",
    "a b",
    "é",
    "%00",
    "*",
    "dc1",
    "x" * 2000,
    "../a",
    "[::1]",
    "_agent",
    "consul",
    "a:b",
    "default/web",
)


@cache
def recorded() -> dict[str, list[Any]]:
    """Bodies by the first words of the path they were sent to."""
    found: dict[str, list[Any]] = {}
    for file in sorted(GOLDEN.glob("*.json")):
        for step in json.loads(file.read_text())["steps"]:
            request = step.get("request", {})
            if "json" in request:
                key = "/".join(urlsplit(request["path"]).path.split("/")[:4])
                found.setdefault(key, []).append(request["json"])
    return found


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of all that stands in a JSON value."""
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in rows:
        yield value, key
        yield from places(item)


def strange_body(rng: random.Random, path: str) -> bytes:
    kind = rng.random()
    if kind < 0.1:
        return rng.choice((b"", b"{", b"\xff\xfe", b"[1,", b"null", b"0", b'"x"', b"[" * 5000, b'{"a":' * 2000))
    known = recorded().get("/".join(path.split("/")[:4]), [])
    if not known or kind < 0.2:
        return json.dumps(rng.choice(STRANGE)).encode()
    body = copy.deepcopy(rng.choice(known))
    for _ in range(rng.randint(0, 3)):
        found = list(places(body))
        if found:
            container, key = rng.choice(found)
            container[key] = copy.deepcopy(rng.choice(STRANGE))
    return json.dumps(body).encode()


def strange_target(rng: random.Random, route: Route) -> str:
    path = route.path
    if path.endswith("/"):
        names = (
            "",
            "x",
            "a/b",
            "é",
            "x" * 600,
            "..",
            "%",
            "web",
            "n1",
            "00000000-0000-0000-0000-000000000000",
            "*",
            "a b",
        )
        path += quote(rng.choice(names)) + route.suffix
    chosen = rng.sample(QUERIES, rng.randint(0, 3))
    query = "&".join(f"{name}={quote(rng.choice(VALUES))}" for name in chosen)
    return f"{path}?{query}" if query else path


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentProcess]:
    with AgentProcess.server(
        {"default_query_time": "10ms", "max_query_time": "20ms", "ui_config": {"enabled": True}}
    ) as agent:
        yield agent


ROUTES = [route for route in load_routes() if not route.path.startswith(LEFT_OUT)]


@pytest.mark.parametrize("family", sorted({"/".join(route.path.split("/")[:3]) for route in ROUTES}))
def test_no_input_makes_an_endpoint_fail(agent: AgentProcess, family: str) -> None:
    rng = random.Random(family)
    before = len(agent.log())
    connection = http.client.HTTPConnection("127.0.0.1", agent.ports["http"], timeout=60)
    for route in ROUTES:
        if not route.path.startswith(f"{family}/") and route.path != family:
            continue
        for _ in range(int(os.environ.get("MESHTEST_REQUESTS", "12"))):
            target = strange_target(rng, route)
            body = strange_body(rng, route.path) if route.method in {"PUT", "POST"} else b""
            connection.request(route.method, target, body or None)
            answer = connection.getresponse()
            text = answer.read(1 << 24)
            sent = f"{route.method} {target} {body[:2000]!r}"
            assert not text.startswith(b"internal error"), f"{sent}\n{agent.log()[-3000:]}"
            assert 200 <= answer.status < 600, sent
            assert len(text) < 1 << 24, sent
    connection.close()
    assert agent.alive
    assert "Traceback" not in agent.log()[before:], agent.log()[before:][-5000:]
    assert agent.get("/v1/status/leader")
