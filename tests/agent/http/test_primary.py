"""Which writes a secondary datacenter has the primary answer (surface row L30)."""

from types import SimpleNamespace
from typing import Any

import pytest
from meshtest.httpapi import make_agent

from meshagent.agent.http.primary import to_primary
from meshagent.agent.http.request import Request, parse_query
from meshagent.agent.http.routes import load_routes
from meshagent.catalog import commands as c
from meshagent.catalog.acl.model import Token

ROUTES = {(route.method, route.path): route for route in load_routes()}


class Stub:
    """A dispatcher of a server in `dc2` whose primary is `dc1`; what is sent there is kept."""

    def __init__(self, *, tokens: bool = True) -> None:
        self.agent = make_agent()
        self.agent.config.acl.enable_token_replication = tokens  # type: ignore[attr-defined]
        self.agent.extras |= {"primary": "dc1", "datacenters": self}
        self.settings: Any = SimpleNamespace()
        self.always = b""
        self.sent: list[Request] = []

    def forwarder(self, datacenter: str, settings: Any, always: bytes) -> Any:
        assert datacenter == "dc1"
        return self

    async def outcome(self, route: Any, request: Request) -> Any:
        self.sent.append(request)
        return "sent"


def goes(method: str, path: str, name: str = "", body: bytes = b"", *, tokens: bool = True) -> bool:
    stub: Any = Stub(tokens=tokens)
    for accessor, local in (("local", True), ("global", False)):
        stub.agent.store.execute(c.AclTokenSet(Token(accessor_id=accessor, secret_id=accessor, local=local)))
    return to_primary(stub, ROUTES[method, path], Request(method, path + name, body=body, name=name)) is not None


@pytest.mark.parametrize(
    ("method", "path", "name", "body", "expected"),
    [
        ("PUT", "/v1/acl/policy", "", b"{}", True),
        ("DELETE", "/v1/acl/role/", "x", b"", True),
        ("GET", "/v1/acl/policy/", "x", b"", False),
        ("PUT", "/v1/acl/bootstrap", "", b"", True),
        ("PUT", "/v1/acl/token", "", b"{}", True),
        ("PUT", "/v1/acl/token", "", b'{"local": true}', False),
        ("PUT", "/v1/acl/token", "", b"not json", True),
        ("DELETE", "/v1/acl/token/", "local", b"", False),
        ("DELETE", "/v1/acl/token/", "global", b"", True),
        ("PUT", "/v1/acl/auth-method", "", b"{}", False),
        ("POST", "/v1/acl/login", "", b"{}", False),
        ("PUT", "/v1/config", "", b'{"Kind": "service-defaults"}', True),
        ("PUT", "/v1/config", "", b'{"kind": "exported-services"}', False),
        ("DELETE", "/v1/config/", "exported-services/default", b"", False),
        ("DELETE", "/v1/config/", "mesh/mesh", b"", True),
        ("PUT", "/v1/connect/intentions/exact", "", b"{}", True),
        ("GET", "/v1/connect/intentions", "", b"", False),
        ("PUT", "/v1/kv/", "a", b"", False),
    ],
)
def test_what_is_copied_is_written_there(method: str, path: str, name: str, body: bytes, expected: bool) -> None:
    assert goes(method, path, name, body) is expected


def test_without_copies_of_tokens_they_are_written_here() -> None:
    assert not goes("PUT", "/v1/acl/token", body=b"{}", tokens=False)
    assert goes("PUT", "/v1/acl/policy", body=b"{}", tokens=False)


def test_in_the_primary_everything_is_written_here() -> None:
    stub: Any = Stub()
    del stub.agent.extras["primary"]
    assert to_primary(stub, ROUTES["PUT", "/v1/acl/policy"], Request("PUT", "/v1/acl/policy")) is None


async def test_it_does_not_come_back() -> None:
    """A request that names its datacenter would be sent back by the primary, and so on."""
    stub: Any = Stub()
    request = Request("PUT", "/v1/acl/policy", parse_query("dc=dc2&cas=1&datacenter=dc2"), {"A": "b"}, b"{}", token="t")
    route = ROUTES["PUT", "/v1/acl/policy"]
    forward = to_primary(stub, route, request)
    assert forward is not None
    await forward(route, request)
    [sent] = stub.sent
    assert (sent.query.raw, sent.body, sent.token, dict(sent.headers)) == ("cas=1", b"{}", "t", {"A": "b"})
