"""All endpoints of the table with ACLs on: with a token that has nothing, and with one that has exactly what is needed.

What is needed is found by asking: each right that was denied is granted by one rule, until the request is let in. Then
every one of these rules must be necessary, and the column `acl` of the row must name it. So an endpoint that asks for
too little, for too much, or for something else than it says fails here; one that is new must have a request below.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from meshtest.inprocess import InProcess, guarded_config

from meshagent.agent.http.routes import Route, load_routes
from meshagent.catalog.acl.resources import RESOURCES

ROUTES = load_routes()
UUID = "11111111-2222-4333-8444-555555555555"

#: Endpoints that need no token: who adds one here says so on purpose.
OPEN = {
    "GET /v1/agent/version",
    "GET /v1/agent/connect/ca/roots",
    "GET /v1/catalog/datacenters",
    "GET /v1/connect/ca/roots",
    "GET /v1/coordinate/datacenters",
    "GET /v1/status/leader",
    "GET /v1/status/peers",
}
#: Endpoints that everybody may ask while ACLs are on: what they do is decided by something else than rules.
UNRULED = {
    "PUT /v1/acl/bootstrap",  # once
    "POST /v1/acl/login",  # the credential
    "POST /v1/acl/logout",  # the token's own
    "POST /v1/acl/oidc/auth-url",
    "POST /v1/acl/oidc/callback",
    "GET /v1/acl/replication",
    "GET /v1/acl/token/self",  # the token's own
    "POST /v1/internal/acl/authorize",  # says what the token may
    "GET /v1/query//execute",  # its results are left out
    "GET /v1/event/list",  # its rows are left out
    "GET /v1/agent/services",
    "GET /v1/agent/checks",
    "GET /v1/agent/members",
    "GET /v1/catalog/connect/",  # an empty answer instead of a refusal
    "GET /v1/internal/ui/services",  # its rows are left out
}

#: "METHOD path+suffix" -> (rest of the target behind the path, body).
REQUESTS: dict[str, tuple[str, Any]] = {
    "PUT /v1/agent/check/register": ("", {"Name": "c2", "TTL": "1h"}),
    "PUT /v1/agent/check/deregister/": ("webc", None),
    "PUT /v1/agent/check/pass/": ("webc", None),
    "PUT /v1/agent/check/warn/": ("webc", None),
    "PUT /v1/agent/check/fail/": ("webc", None),
    "PUT /v1/agent/check/update/": ("webc", {"Status": "passing"}),
    "GET /v1/agent/health/service/name/": ("web", None),
    "GET /v1/agent/health/service/id/": ("web", None),
    "PUT /v1/agent/join/": ("127.0.0.1:1", None),
    "PUT /v1/agent/force-leave/": ("gone", None),
    "GET /v1/agent/connect/proxy/": ("web", None),
    "PUT /v1/agent/connect/proxy": ("", {"Service": "web"}),
    "PUT /v1/agent/connect/proxies": ("?wait=1ms", {"Known": {}}),
    "PUT /v1/agent/token/": ("zork", {"Token": ""}),
    "GET /v1/agent/service/": ("web", None),
    "PUT /v1/agent/service/register": ("", {"Name": "fresh", "Connect": {"SidecarService": {}}}),
    "PUT /v1/agent/service/deregister/": ("web", None),
    "PUT /v1/agent/service/maintenance/": ("web?enable=false", None),
    "PUT /v1/agent/maintenance": ("?enable=false", None),
    "PUT /v1/catalog/register": ("", {"Node": "z", "Address": "10.0.0.9", "Service": {"Service": "zs"}}),
    "PUT /v1/catalog/deregister": ("", {"Node": "n1", "ServiceID": "nothere"}),
    "GET /v1/catalog/gateway-services/": ("edge", None),
    "GET /v1/health/connect/": ("web", None),
    "GET /v1/health/ingress/": ("web", None),
    "GET /v1/kv/": ("secret/key", None),
    "PUT /v1/kv/": ("secret/key", "v"),
    "GET /v1/history/kv/": ("secret/key", None),
    "GET /v1/history/config/": ("service-defaults/web", None),
    "DELETE /v1/kv/": ("secret/other", None),
    "PUT /v1/session/create": ("", {"Node": "n1"}),
    "PUT /v1/session/destroy/": ("<session>", None),
    "PUT /v1/session/renew/": ("<session>", None),
    "PUT /v1/txn": ("", [{"KV": {"Verb": "set", "Key": "secret/txn", "Value": "YQ=="}}]),
    "POST /v1/query": ("", {"Name": "q2", "Service": {"Service": "web"}}),
    "GET /v1/query/": ("<query>", None),
    "PUT /v1/query/": ("<query>", {"Name": "pq", "Service": {"Service": "web"}}),
    "DELETE /v1/query/": ("<query>", None),
    "GET /v1/query//execute": ("<query>", None),
    "GET /v1/query//explain": ("<query>", None),
    "PUT /v1/event/fire/": ("deploy", None),
    "GET /v1/coordinate/node/": ("n1", None),
    "PUT /v1/coordinate/update": (
        "",
        {"Node": "n1", "Coord": {"Vec": [0.0] * 8, "Error": 1.5, "Adjustment": 0, "Height": 1e-05}},
    ),
    "GET /v1/agent/connect/ca/leaf/": ("web", None),
    "POST /v1/agent/connect/authorize": (
        "",
        {"Target": "web", "ClientCertURI": "spiffe://x.consul/ns/default/dc/dc1/svc/a", "ClientCertSerial": "1"},
    ),
    "GET /v1/connect/intentions/exact": ("?source=api&destination=web", None),
    "PUT /v1/connect/intentions/exact": ("?source=api&destination=web", {"Action": "allow"}),
    "DELETE /v1/connect/intentions/exact": ("?source=none&destination=web", None),
    "GET /v1/connect/intentions/match": ("?by=destination&name=web", None),
    "GET /v1/connect/intentions/check": ("?source=api&destination=web", None),
    "GET /v1/connect/intentions/explain": ("?source=api&destination=web", None),
    "POST /v1/connect/intentions": ("", {"SourceName": "a", "DestinationName": "legacy2", "Action": "allow"}),
    "GET /v1/connect/intentions/": ("<legacy>", None),
    "PUT /v1/connect/intentions/": (
        "<legacy>",
        {"SourceName": "a", "DestinationName": "legacy", "Action": "allow"},
    ),
    "DELETE /v1/connect/intentions/": ("<legacy>", None),
    "GET /v1/discovery-chain/": ("web", None),
    "POST /v1/discovery-chain/": ("web", None),
    "PUT /v1/config": ("", {"Kind": "service-defaults", "Name": "web"}),
    "GET /v1/config/": ("service-defaults/web", None),
    "DELETE /v1/config/": ("service-defaults/none", None),
    "GET /v1/internal/federation-state/": ("dc1", None),
    "PUT /v1/snapshot": ("", "no archive"),
    "GET /v1/acl/token/": ("00000000-0000-0000-0000-000000000002", None),
    "GET /v1/internal/ui/service-topology/": ("web?kind=", None),
    "GET /v1/internal/ui/gateway-services-nodes/": ("edge", None),
    "GET /v1/internal/ui/gateway-intentions/": ("edge", None),
    "GET /v1/internal/ui/metrics-proxy/": ("api/v1/query", None),
    "POST /v1/acl/explain": ("", {"Accessor": "self", "Method": "GET", "Path": "/v1/agent/self"}),
}
#: Those that look at rows and say no more than "Permission denied": what lets them in.
TOLD = {
    "GET /v1/connect/intentions/exact": [("intentions", "read", "web")],
    "GET /v1/connect/intentions/": [("intentions", "read", "legacy")],
}
#: Those that would end or change the agent under test when they are let in: the denial is all that is looked at.
DENIAL_ONLY = {
    "GET /v1/agent/monitor",
    "GET /v1/agent/metrics/stream",
    "GET /v1/agent/host",
    "GET /v1/snapshot",
    "GET /v1/connect/tap",  # goes on
    "PUT /v1/agent/connect/proxies",  # waits for a change
}


def key_of(route: Route) -> str:
    return f"{route.method} {route.path}{route.suffix}"


GUARDED = [route for route in ROUTES if not route.open and route.built and key_of(route) not in UNRULED]
SHOWING = [route for route in ROUTES if route.visible is not None and route.built]


@pytest.fixture
async def world() -> AsyncIterator[InProcess]:
    running = InProcess(config=guarded_config())
    await running.start()
    check = {"CheckID": "webc", "TTL": "1h"}
    await running.put("/v1/agent/service/register", {"Name": "web", "Port": 1, "Check": check})
    await running.settle()
    await running.put("/v1/kv/secret/key", "v")
    await running.put("/v1/config", {"Kind": "service-defaults", "Name": "web"})
    await running.put("/v1/connect/intentions/exact?source=api&destination=web", {"Action": "allow"})
    gateway = {"Kind": "terminating-gateway", "Name": "edge", "Services": [{"Name": "web"}]}
    await running.put("/v1/config", gateway)
    yield running
    await running.stop()


async def target_of(world: InProcess, route: Route) -> tuple[str, Any]:
    rest, body = REQUESTS.get(key_of(route), ("", None))
    if "<session>" in rest:
        rest = rest.replace("<session>", (await world.put("/v1/session/create", {"Name": "held"})).json["ID"])
    if "<query>" in rest:
        held = world.store.prepared_queries.named("pq")
        if held is None:
            await world.ask("POST", "/v1/query", {"Name": "pq", "Service": {"Service": "web"}})
            held = world.store.prepared_queries.named("pq")
        assert held is not None
        rest = rest.replace("<query>", held.id)
    if "<legacy>" in rest:
        row = {"SourceName": "a", "DestinationName": "legacy", "Action": "deny"}
        await world.ask("POST", "/v1/connect/intentions", row)
        sources = world.store.config.get("service-intentions", "legacy").sources  # type: ignore[union-attr]
        rest = rest.replace("<legacy>", sources[0].legacy_id)
    if not rest and route.path.endswith("/") and route.visible is None:
        rest = UUID
    name, mark, query = rest.partition("?")
    return route.path + name + route.suffix + mark + query, body


async def ask(world: InProcess, route: Route, target: str, body: Any, secret: str) -> Any:
    sent = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    return await world.ask(route.method, target, body=sent, headers={"X-Consul-Token": secret})


def denied(answer: Any) -> bool:
    return answer.status == 403 or (answer.status == 409 and "Permission denied" in answer.text)


def rule(resource: str, access: str, name: str) -> str:
    kind = resource.removesuffix("_prefix")
    if kind == "intentions":
        return f'service "{name}" {{ policy = "deny" intentions = "{access}" }}'
    if not RESOURCES[kind].label:
        return f'{kind} = "{access}"'
    return f'{resource} "{name}" {{ policy = "{access}" }}'


def test_every_endpoint_says_who_may() -> None:
    assert {key_of(route) for route in ROUTES if route.open and route.built} == OPEN
    assert {key_of(route) for route in ROUTES} >= UNRULED | set(REQUESTS) | DENIAL_ONLY


#: Those that leave rows out instead are walked below.
REFUSING = [route for route in GUARDED if route.guard is not None or route.visible is None or route.asks]


@pytest.mark.parametrize("route", REFUSING, ids=key_of)
async def test_nothing_is_denied_and_exactly_the_right_rules_let_in(world: InProcess, route: Route) -> None:
    target, body = await target_of(world, route)
    accessor, nothing = await world.token(Description="nothing")
    refused = await ask(world, route, target, body, nothing)
    assert refused.status == (409 if route.path == "/v1/txn" else 403), refused.text
    assert "Permission denied" in refused.text
    if key_of(route) in DENIAL_ONLY:
        return
    needed: list[tuple[str, str, str]] = TOLD.get(key_of(route)) or world.usage.denied(accessor)
    for _ in range(6):
        accessor, secret = await world.token("\n".join(rule(*right) for right in needed))
        answer = await ask(world, route, target, body, secret)
        if not denied(answer):
            break
        needed += [right for right in world.usage.denied(accessor) if right not in needed]
    assert not denied(answer), f"{needed} do not do: {answer.text}"
    for resource, access, _ in needed:
        said = {"intentions": "intentions"}.get(resource, resource.removesuffix("_prefix"))
        if route.acl not in {"per operation", "of the kind", "of the query"}:
            assert f"{said}:{access}" in route.acl, f"{route.acl} does not say {said}:{access}"
    if len(needed) > 1:
        for left_out in needed:
            await world.put("/v1/catalog/deregister", {"Node": "z"})  # so that registering it makes a node again
            target, body = await target_of(world, route)
            _, secret = await world.token("\n".join(rule(*right) for right in needed if right != left_out))
            assert (await ask(world, route, target, body, secret)).status == 403, f"{left_out} is not needed"


NAMED = ("node", "service", "key", "session", "query", "agent", "event")
READ_ALL = "\n".join(f'{name}_prefix "" {{ policy = "read" }}' for name in NAMED) + '\noperator = "read"\nmesh = "read"'


async def test_what_may_not_be_seen_is_left_out(world: InProcess) -> None:
    await world.put("/v1/session/create", {"Name": "held"})
    await world.ask("POST", "/v1/query", {"Name": "pq", "Service": {"Service": "web"}})
    await world.put("/v1/coordinate/update", REQUESTS["PUT /v1/coordinate/update"][1])
    for route in SHOWING:
        await check_left_out(world, route)


async def check_left_out(world: InProcess, route: Route) -> None:
    rest = {
        "/v1/catalog/service/": "web",
        "/v1/catalog/node/": "n1",
        "/v1/catalog/node-services/": "n1",
        "/v1/catalog/connect/": "web",
        "/v1/catalog/gateway-services/": "edge",
        "/v1/health/node/": "n1",
        "/v1/health/checks/": "web",
        "/v1/health/service/": "web",
        "/v1/health/connect/": "web",
        "/v1/health/ingress/": "web",
        "/v1/health/state/": "any",
        "/v1/kv/": "secret/?recurse",
        "/v1/session/node/": "n1",
        "/v1/session/info/": world.store.sessions.all()[0].id,
        "/v1/query/": next(iter(world.store.prepared_queries.rows)),
        "/v1/config/": "service-defaults",
        "/v1/internal/ui/node/": "n1",
        "/v1/internal/ui/service-topology/": "web?kind=",
        "/v1/internal/ui/gateway-intentions/": "edge",
        "/v1/internal/ui/exported-services": "?peer=east",
    }.get(route.path, "")
    target = route.path + rest
    whole = await world.ask("GET", target)
    _, nothing = await world.token(Description="nothing")
    seen = await world.ask("GET", target, headers={"X-Consul-Token": nothing})
    if seen.status == 403:
        assert route.guard is not None or route.asks
        assert seen.body.startswith(b"Permission denied")
        return
    for word in (b"web", b"n1", b"secret", b"held", b"pq"):
        assert word not in seen.body, f"{target} shows {seen.body!r}"
    if whole.body not in {seen.body, b"[]", b"{}"} and route.path not in {
        "/v1/connect/intentions",  # as upstream: nothing says that there are others
        "/v1/catalog/connect/",
        "/v1/internal/ui/node/",
    }:
        assert seen.headers["x-consul-results-filtered-by-acls"] == "true"
    _, reader = await world.token(READ_ALL)
    assert (await world.ask("GET", target, headers={"X-Consul-Token": reader})).body == whole.body


async def test_a_token_that_does_not_exist_opens_nothing(world: InProcess) -> None:
    for route in ROUTES:
        if not route.open and route.built:
            await check_closed(world, route)


async def check_closed(world: InProcess, route: Route) -> None:
    target, body = await target_of(world, route)
    answer = await ask(world, route, target, body, UUID)
    if key_of(route) in {"PUT /v1/acl/bootstrap", "GET /v1/acl/replication"}:
        return  # they look at no token
    if key_of(route) in UNRULED and route.path.startswith(("/v1/acl/login", "/v1/acl/oidc")):
        assert answer.status in {400, 403}
        return
    assert answer.status in {400, 403, 404}, f"{target}: {answer.text}"
    if answer.status == 403:
        assert "ACL not found" in answer.text, f"{target}: {answer.text}"
    if answer.status == 404:
        assert b"web" not in answer.body and b"n1" not in answer.body
