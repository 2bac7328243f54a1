"""A real Envoy decides what our evaluator and the built-in proxy say it would: permissions, routes, redirects.

Surface rows X7, X13. The other tests of rendered rules trust `meshtest.envoyrules`; this one shows that they may. Cases
are drawn with a fixed seed, all of them are virtual hosts of one Envoy.
"""

from __future__ import annotations

import http.client
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from meshtest.envoygolden import lookup
from meshtest.envoyrules import Asked, rbac_allows, route_of
from meshtest.http7 import FakeCluster, World
from meshtest.http7 import request as head_of
from meshtest.meshpeers import envoy, envoy_listener
from meshtest.process import free_ports

from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.connect.chain import compile_chain
from meshagent.connect.envoy import rbac, routes
from meshagent.connect.envoy.connection_manager import Manager
from meshagent.connect.envoy.resources import typed
from meshagent.connect.intentions import Default, of_entries
from meshagent.connect.permissions import HttpRequest, decide_request
from meshagent.connect.proxy.http.routes import Routes, compile_routes

CASES, REQUESTS = 60, 12
PATHS = ("/", "/a", "/a/b", "/A", "/a/", "/v1")
VALUES = ("x", "X", "xy", "yx", "")


@dataclass
class Case:
    """A virtual host: what Envoy has, what the built-in proxy has, and requests."""

    host: str
    rules: Any = None
    intentions: Any = None
    allow: bool = False
    rendered: list[Any] = field(default_factory=list)
    table: Routes | None = None
    requests: list[Asked] = field(default_factory=list)

    def virtual_host(self) -> Any:
        if self.table is None:
            per_route = typed("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", {"rbac": {"rules": self.rules}})
            own = [{**answered("0"), "typed_per_filter_config": {"envoy.filters.http.rbac": per_route}}]
        else:
            own = [
                one if "redirect" in one else {**answered(str(at)), "match": one["match"]}
                for at, one in enumerate(self.rendered)
            ]
        return routes.virtual_host(self.host, [self.host], own)


def answered(text: str) -> Any:
    return {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}


def condition(rng: random.Random, ways: tuple[str, ...]) -> Any:
    way = rng.choice(ways)
    value: Any = {"Present": True, "Regex": rng.choice(["x.*", "[xy]+"])}.get(way) or rng.choice(VALUES[:-1])
    return {"Name": rng.choice(["x-a", "X-B", ":method"]), way: value, "Invert": rng.random() < 0.4}


def paths(rng: random.Random) -> dict[str, Any]:
    way = rng.choice(["", "PathExact", "PathPrefix", "PathPrefix", "PathRegex"])
    return {way: rng.choice(["/a.*", "/v[0-9]", "/A"]) if way == "PathRegex" else rng.choice(PATHS)} if way else {}


def permission(rng: random.Random) -> Any:
    ways = ("Present", "Exact", "Prefix", "Suffix", "Contains", "Regex")
    found = paths(rng)
    if not found or rng.random() < 0.5:
        found["Header"] = [{**condition(rng, ways), "IgnoreCase": rng.random() < 0.3} for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.3:
        found["Methods"] = rng.sample(["GET", "PUT", "DELETE"], 2)
    return {"Action": rng.choice(["allow", "deny"]), "HTTP": found}


def asked_by(rng: random.Random, authority: str) -> Asked:
    return Asked(
        method=rng.choice(["GET", "PUT", "DELETE"]),
        path=rng.choice(PATHS) + rng.choice(["", "", "?q=1", "?q", "?q=2&q=1"]),
        headers=tuple((rng.choice(["x-a", "x-b"]), rng.choice(VALUES)) for _ in range(rng.randint(0, 3))),
        authority=authority,
    )


def of_permissions(rng: random.Random, at: int) -> Case:
    given = [permission(rng) for _ in range(rng.randint(1, 4))]
    entry = parse({"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Permissions": given}]})
    assert isinstance(entry, ServiceIntentions)
    assert entry.problem() == ""
    found, allow = of_entries([entry]), rng.random() < 0.5
    rules = rbac.http(found, allow, "td")["typed_config"]["rules"]
    for policy in rules.get("policies", {}).values():
        policy["principals"] = [{"any": True}]  # there is no certificate here
    return Case(f"permissions-{at}", rules, found, allow)


def of_routes(rng: random.Random, at: int) -> Case:
    given = []
    for _ in range(rng.randint(1, 4)):
        match = paths(rng)
        match["CaseInsensitive"] = rng.random() < 0.3
        if rng.random() < 0.4:
            match["Header"] = [condition(rng, ("Present", "Exact", "Prefix", "Suffix", "Regex"))]
        if rng.random() < 0.3:
            way = rng.choice(["Present", "Exact", "Regex"])
            match["QueryParam"] = [{"Name": "q", way: {"Present": True, "Exact": "1", "Regex": "[12]"}[way]}]
        if rng.random() < 0.3:
            match["Methods"] = ["GET", "PUT"]
        given.append({"Match": {"HTTP": match}, "Destination": redirected(rng, match) if rng.random() < 0.4 else {}})
    raws = [
        {"Kind": "service-defaults", "Name": "api", "Protocol": "http"},
        {"Kind": "service-router", "Name": "api", "Routes": given},
    ]
    made = [parse(one).normalised() for one in raws]
    assert [one.problem() for one in made] == ["", ""]
    chain = compile_chain(lookup({(one.kind, one.name): one for one in made}), "api", "dc1", "td")
    world = World()
    table = compile_routes(chain, lambda key: FakeCluster(world, key))
    return Case(f"routes-{at}", rendered=routes.of_chain(chain), table=table)


def redirected(rng: random.Random, match: dict[str, Any]) -> Any:
    found: dict[str, Any] = {"StripQuery": rng.random() < 0.5}
    if rng.random() < 0.5:
        found["HostRedirect"] = rng.choice(["new.example", "10.0.0.1"])
    if rng.random() < 0.4:
        found["SchemeRedirect"] = rng.choice(["http", "https"])
    if rng.random() < 0.4:
        found["PortRedirect"] = rng.choice([80, 443, 8080])
    if rng.random() < 0.5:
        found["PathRedirect"] = rng.choice(["/new", "/new?a=1"])
    elif {"PathExact", "PathPrefix"} & set(match) and not match["CaseInsensitive"]:
        found["PrefixRewrite"] = rng.choice(["/", "/n", "/n/"])
    found["ResponseCode"] = rng.choice([0, 302, 307])
    if not set(found) - {"StripQuery", "ResponseCode"}:
        found["HostRedirect"] = "new.example"
    return {"Redirect": found}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    rng = random.Random(20)
    found = [make(rng, at) for at in range(CASES) for make in (of_permissions, of_routes)]
    for one in found:
        one.requests = [asked_by(rng, one.host) for _ in range(REQUESTS)]
    return found


@pytest.fixture(scope="module")
def port(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    ports = free_ports(["listener", "nobody"])
    everybody = {"action": "DENY"}
    rules = typed("envoy.extensions.filters.http.rbac.v3.RBAC", {"rules": everybody})
    manager = Manager(
        "decisions",
        route_config=routes.configuration("all", [one.virtual_host() for one in cases]),
        filters=({"name": "envoy.filters.http.rbac", "typed_config": rules},),
    )
    pair = envoy_listener(ports["listener"], ports["nobody"], filters=[manager.filter()])
    with envoy(tmp_path_factory.mktemp("decisions"), "decisions", pair, port=ports["listener"]):
        yield ports["listener"]


def answers(port: int, cases: list[Case]) -> Iterator[tuple[Case, Asked, int, str, str]]:
    """(case, request, status, body, location) of all requests."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for one in cases:
        for asked in one.requests:
            connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
            for name, value in (("host", asked.authority), *asked.headers):
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            yield one, asked, answer.status, answer.read().decode(), answer.getheader("location") or ""
    connection.close()


def without_usual_port(url: str) -> str:
    """Envoy writes a port that it was given, be it the scheme's own."""
    return re.sub(r"^(http(?=://[^/]*:80/)|https(?=://[^/]*:443/))://([^/]*):[0-9]+/", r"\1://\2/", url)


def test_permissions(port: int, cases: list[Case]) -> None:
    denied = 0
    for case, asked, status, _, _ in answers(port, [one for one in cases if one.table is None]):
        names = dict.fromkeys(name for name, _ in asked.headers)
        headers: dict[str, str | tuple[str, ...]] = {
            ":method": asked.method,
            **{name: tuple(value for key, value in asked.headers if key == name) for name in names},
        }
        request = HttpRequest(asked.method, asked.path.partition("?")[0], headers)
        ours = decide_request(case.intentions, "web", "api", request, Default(case.allow)).allowed
        assert rbac_allows(case.rules, asked) is ours, asked
        assert (status == 200) is ours, (asked, case.rules)
        denied += not ours
    assert 100 < denied < CASES * REQUESTS - 100


def test_routes(port: int, cases: list[Case]) -> None:
    redirects = 0
    for case, asked, status, body, location in answers(port, [one for one in cases if one.table is not None]):
        envoys = route_of(case.rendered, asked)
        headers = [(name.encode(), value.encode()) for name, value in asked.headers]
        head = head_of(asked.path.encode(), asked.method.encode(), headers, authority=asked.authority.encode())
        assert case.table is not None
        ours = case.table.match(head)
        assert envoys is not None
        assert ours is not None
        if ours.direct is None:
            at = len(case.rendered) - 1 if ours.name == "default" else int(ours.name)
            assert case.rendered.index(envoys) == case.rendered.index(case.rendered[at])
            assert (status, body) == (200, str(at)), (asked, case.rendered)
            continue
        reply = ours.direct(head)
        assert "redirect" in envoys
        expected = dict(reply.headers)[b"location"].decode()
        assert (status, without_usual_port(location)) == (reply.status, expected), (asked, envoys)
        redirects += 1
    assert redirects > 50
