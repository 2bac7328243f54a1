"""The services for dataplanes beside grpcio, with Google's messages: what a sidecar without an agent asks of a server.

Surface rows X30-X34, P7. The answers in detail are those of tests/agent/dataplane; here they go over a real port.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dns.message
import dns.rdatatype
import pytest
from meshtest import protos
from meshtest.jwts import Issuer
from meshtest.process import AgentProcess

grpc = pytest.importorskip("grpc")

MANAGER = "00000000-aaaa-4000-8000-00000000aaaa"
HEADERS = {"X-Consul-Token": MANAGER}


class Client:
    """Calls methods by name."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(self, method: str, token: str = "", /, **fields: Any) -> Any:
        package, service, stream = protos.METHODS[method]
        made = self.channel.unary_stream if stream else self.channel.unary_unary
        call = made(
            f"/{package}.{service}/{method}",
            request_serializer=protos.asked(method).SerializeToString,
            response_deserializer=protos.answered(method).FromString,
        )
        metadata = (("x-consul-token", token),) if token else ()
        return call(protos.asked(method)(**fields), metadata=metadata, timeout=60, wait_for_ready=True)

    def refused(self, method: str, token: str = "", /, **fields: Any) -> tuple[Any, str]:
        with pytest.raises(grpc.RpcError) as error:
            answer = self.call(method, token, **fields)
            list(answer)
        return error.value.code(), error.value.details()


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": MANAGER, "agent": MANAGER}}
    with AgentProcess.server({"acl": acl}) as running:
        running.wait("roots", lambda: b"BEGIN" in running.http("GET", "/v1/connect/ca/roots?pem", headers=HEADERS).body)
        yield running


def put(agent: AgentProcess, path: str, body: Any) -> None:
    answer = agent.http("PUT", path, json=body, headers=HEADERS)
    assert answer.status == 200, answer.body


def test_a_sidecar_without_an_agent_finds_its_way(agent: AgentProcess) -> None:
    issuer = Issuer()
    config = {
        "JWTValidationPubKeys": [issuer.public_pem], "JWTSupportedAlgs": ["ES256"], "ClaimMappings": {"sub": "name"},
    }  # fmt: skip
    put(agent, "/v1/acl/auth-method", {"Name": "pods", "Type": "jwt", "Config": config})
    rule = {"AuthMethod": "pods", "BindType": "service", "BindName": "${value.name}"}
    put(agent, "/v1/acl/binding-rule", rule)
    sidecar = {
        "Service": "web-sidecar-proxy", "ID": "web-1-proxy", "Kind": "connect-proxy", "Port": 20000,
        "Proxy": {"DestinationServiceName": "web"},
    }  # fmt: skip
    put(agent, "/v1/catalog/register", {"Node": "k8s-virtual", "Address": "192.0.2.1", "Service": sidecar})
    client = Client(agent.ports["grpc"])

    bearer = issuer.token(sub="web", nbf=1)
    token = client.call("Login", auth_method="pods", bearer_token=bearer, meta={"pod": "x"}).token.secret_id
    assert len(client.call("GetSupportedDataplaneFeatures", token).supported_dataplane_features) == 3
    asked = {"node_name": "k8s-virtual", "proxy_id": "web-1-proxy"}
    assert client.call("GetEnvoyBootstrapParams", token, **asked).service == "web"
    servers = client.call("WatchServers", token)
    assert [one.address for one in next(servers).servers] == ["127.0.0.1"]
    roots = client.call("WatchRoots", token)
    assert next(roots).active_root_id
    question = dns.message.make_query("consul.service.consul", dns.rdatatype.A)
    answer = dns.message.from_wire(client.call("Query", token, msg=question.to_wire(), protocol=2).msg)
    assert answer.id == question.id

    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    assert client.refused("GetSupportedDataplaneFeatures")[0] == unauthenticated
    assert client.refused("WatchServers")[0] == unauthenticated
    assert client.refused("GetEnvoyBootstrapParams", **asked)[0] == grpc.StatusCode.PERMISSION_DENIED
    assert client.refused("GetEnvoyBootstrapParams", token, **{**asked, "node_name": "no"}) == (
        grpc.StatusCode.NOT_FOUND,
        "Service not found",
    )
    assert client.refused("Login", auth_method="pods", bearer_token="x")[0] == unauthenticated

    client.call("Logout", token=token)
    for stream in (servers, roots):  # they end with their token
        with pytest.raises(grpc.RpcError) as ended:
            list(stream)
        assert ended.value.code() == unauthenticated
    client.channel.close()
