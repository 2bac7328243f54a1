"""A real Envoy asks for the tokens that the built-in proxy asks for (surface rows X6, X7, M26, M35)."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from meshtest.http7 import request
from meshtest.jwts import Issuer
from meshtest.meshpeers import envoy, envoy_listener
from meshtest.process import free_ports

from meshagent.catalog.acl import jwt_tokens
from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.connect.envoy import jwt, rbac, routes
from meshagent.connect.envoy.connection_manager import Manager
from meshagent.connect.envoy.resources import typed
from meshagent.connect.intentions import Default, of_entries
from meshagent.connect.permissions import HttpRequest, decide_request
from meshagent.connect.proxy.http.tokens import Tokens, local_keyset

NOW = datetime(2030, 1, 1, tzinfo=UTC)
IDP, OTHER, FORGER = Issuer("idp"), Issuer("other"), Issuer("idp")
LOCATION = {"Header": {"Name": "x-idp", "ValuePrefix": "T "}}
RBAC = "envoy.filters.http.rbac"


def asks(*names: str, claim: tuple[list[str], str] | None = None) -> dict[str, Any]:
    claims = [{"Path": claim[0], "Value": claim[1]}] if claim else []
    return {"Providers": [{"Name": name, "VerifyClaims": claims} for name in names]}


ROLE, DEEP = (["role"], "admin"), (["a", "b"], "1")
#: (what the whole intention asks for, permissions or None for a plain allow)
RULES: list[tuple[dict[str, Any] | None, list[tuple[str, dict[str, Any] | None]] | None]] = [
    (asks("idp"), None),
    (asks("idp", "other"), None),
    (asks("idp", claim=ROLE), None),
    (None, [("allow", asks("idp", claim=ROLE))]),
    (None, [("allow", asks("idp", claim=DEEP))]),
    (None, [("allow", asks("idp")), ("allow", asks("other"))]),
    (None, [("deny", asks("idp", claim=ROLE)), ("allow", None)]),
    (asks("other"), [("allow", asks("idp"))]),
    (asks("other"), [("deny", asks("idp"))]),
    (asks("gone"), None),
]
BOTH = {"x-idp": "T " + IDP.token(role="admin", aud="x"), "authorization": "Bearer " + OTHER.token()}
SENT: list[dict[str, str]] = [
    {},
    BOTH,
    {"x-idp": BOTH["x-idp"]},
    {"authorization": BOTH["authorization"]},
    {"x-idp": BOTH["x-idp"].removeprefix("T ")},
    {"authorization": "Bearer " + IDP.token(aud="x")},
    *({"x-idp": "T " + IDP.token(**{"aud": "x", **claims})} for claims in (
        {"role": "user"}, {"role": ["admin"]}, {"role": 1}, {"aud": "y"}, {"exp": 1_000_000_000}, {"a": {"b": "1"}},
        {"a": {"b": 1}}, {"aud": ["y", "x"]}, {"iss": "other"},
    )),
    {"x-idp": "T " + FORGER.token(role="admin", aud="x")},
    {"x-idp": "T not.a.token"},
]  # fmt: skip


def providers() -> list[JWTProvider]:
    made = [parse(IDP.provider(Locations=[LOCATION], Audiences=["x"])), parse(OTHER.provider())]
    return [one.normalised() for one in made if isinstance(one, JWTProvider)]


def intentions(at: int) -> Any:
    whole, permissions = RULES[at]
    source: dict[str, Any] = {"Name": "web", "Action": "allow"}
    if permissions is not None:
        given = [{"Action": action, "HTTP": {"PathPrefix": "/"}, "JWT": one} for action, one in permissions]
        source = {"Name": "web", "Permissions": given}
    entry = parse({"Kind": "service-intentions", "Name": "api", "Sources": [source], "JWT": whole})
    assert isinstance(entry, ServiceIntentions)
    return of_entries([entry])


def anybody(rules: Any) -> Any:
    """There are no certificates here."""
    if isinstance(rules, dict):
        if "authenticated" in rules:
            return {"any": True}
        return {key: anybody(value) for key, value in rules.items()}
    return [anybody(one) for one in rules] if isinstance(rules, list) else rules


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    hosts = []
    for at in range(len(RULES)):
        for allow in (True, False):
            rules = anybody(rbac.http(intentions(at), allow, "td", (), providers())["typed_config"]["rules"])
            per_route = typed("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", {"rbac": {"rules": rules}})
            route = {
                "match": {"prefix": "/"}, "direct_response": {"status": 200},
                "typed_per_filter_config": {RBAC: per_route},
            }  # fmt: skip
            name = f"{at}-{allow}"
            hosts.append(routes.virtual_host(name, [name], [route]))
    tokens = jwt.filter_of(providers())
    assert tokens is not None
    nobody = {"name": RBAC, "typed_config": typed("envoy.extensions.filters.http.rbac.v3.RBAC", {"rules": {}})}
    manager = Manager("tokens", route_config=routes.configuration("all", hosts), filters=(tokens, nobody))
    ports = free_ports(["listener", "nobody"])
    pair = envoy_listener(ports["listener"], ports["nobody"], filters=[manager.filter()])
    with envoy(tmp_path_factory.mktemp("tokens"), "tokens", pair, port=ports["listener"]):
        yield ports["listener"]


@pytest.mark.parametrize("allow", [True, False])
def test_both_proxies_ask_for_the_same(port: int, allow: bool) -> None:
    keys = {one.name: jwt_tokens.load_keyset(local_keyset(one) or b"") for one in providers()}
    ours = Tokens(providers(), lambda one: keys[one.name], lambda: NOW)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    passed = 0
    for at in range(len(RULES)):
        for headers in SENT:
            connection.request("GET", "/", headers={"host": f"{at}-{allow}", **headers})
            answer = connection.getresponse()
            answer.read()
            head = request(headers=[(name.encode(), value.encode()) for name, value in headers.items()])
            decision = decide_request(
                intentions(at), "web", "api", HttpRequest(), Default(allow), "", ours.of(head)
            )  # fmt: skip
            assert (answer.status == 200) is decision.allowed, (RULES[at], headers, decision.reason)
            passed += decision.allowed
    connection.close()
    assert 10 < passed < len(RULES) * len(SENT) - 10
