"""What an Envoy without an agent is started with: by node and proxy, with the central configuration, for who may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from meshtest.inprocess import MANAGER, InProcess

from meshagent.agent.dataplane.callers import UNAUTHENTICATED
from meshagent.agent.grpc.methods import Refused
from meshagent.errors import BadRequest, Denied, NotFound

NODE_ID = "99999999-2222-3333-4444-555555555555"
SIDECAR = {
    "Service": "web-sidecar-proxy", "ID": "web-1-sidecar-proxy", "Kind": "connect-proxy", "Port": 20000,
    "Proxy": {"DestinationServiceName": "web", "Config": {"envoy_stats_tags": ["a=b"], "zero": 0}},
}  # fmt: skip
GATEWAY = {"Service": "mesh-gateway", "Kind": "mesh-gateway", "Port": 8443}


async def registered(server: InProcess) -> None:
    node = {"Node": "K8s-1-virtual", "ID": NODE_ID, "Address": "192.0.2.1"}
    for service in (SIDECAR, GATEWAY, {"Service": "web", "ID": "web-1", "Port": 80}):
        await server.put("/v1/catalog/register", {**node, "Service": service})


async def test_x30_the_features(calls: Any) -> None:
    found = await calls("GetSupportedDataplaneFeatures")
    assert {one.feature_name: one.supported for one in found.supported_dataplane_features} == {
        1: True, 2: True, 3: True,
    }  # fmt: skip


async def test_features_are_told_to_who_has_a_token(asks: Any, guarded: InProcess) -> None:
    _, nothing = await guarded.token('key "x" { policy = "read" }')
    assert (await asks("GetSupportedDataplaneFeatures", nothing)).supported_dataplane_features
    for token, words in (("", "x-consul-token"), ("11111111-2222-3333-4444-555555555555", "ACL not found")):
        with pytest.raises(Refused, match=words) as refused:
            await asks("GetSupportedDataplaneFeatures", token)
        assert refused.value.code == UNAUTHENTICATED


async def test_x30_parameters_of_a_sidecar(calls: Any, live: InProcess) -> None:
    await registered(live)
    logs = {"Enabled": True, "TextFormat": "%START_TIME%"}
    await live.put(
        "/v1/config",
        {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}, "AccessLogs": logs},
    )
    by_name = {"node_name": "k8s-1-virtual", "proxy_id": "web-1-sidecar-proxy"}
    found = await calls("GetEnvoyBootstrapParams", **by_name)
    assert (found.service, found.identity, found.namespace, found.partition) == ("web", "web", "default", "default")
    assert (found.datacenter, found.node_name) == ("dc1", "K8s-1-virtual")
    assert MessageToDict(found.config) == {"envoy_stats_tags": ["a=b"], "zero": 0, "protocol": "http"}
    [told] = found.access_logs
    assert json.loads(told)["typed_config"]["log_format"]["text_format_source"]["inline_string"] == "%START_TIME%\n"
    assert await calls("GetEnvoyBootstrapParams", node_id=NODE_ID, service_id="web-1-sidecar-proxy") == found


async def test_parameters_of_a_gateway(calls: Any, live: InProcess) -> None:
    await registered(live)
    found = await calls("GetEnvoyBootstrapParams", node_id=NODE_ID, proxy_id="mesh-gateway")
    assert (found.service, list(found.access_logs), MessageToDict(found.config)) == ("mesh-gateway", [], {})


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"proxy_id": "web-1-sidecar-proxy"}, BadRequest, "node_name"),
        ({"node_name": "k8s-1-virtual"}, BadRequest, "proxy_id"),
        ({"node_name": "k8s-1-virtual", "proxy_id": "other"}, NotFound, "not found"),
        ({"node_name": "other", "proxy_id": "web-1-sidecar-proxy"}, NotFound, "not found"),
        ({"node_name": "k8s-1-virtual", "proxy_id": "web-1"}, BadRequest, "neither a proxy nor a gateway"),
    ],
)
async def test_what_is_not_there_is_said(
    calls: Any, live: InProcess, asked: dict[str, str], error: type[Exception], words: str
) -> None:
    await registered(live)
    with pytest.raises(error, match=words):
        await calls("GetEnvoyBootstrapParams", **asked)


async def test_parameters_are_for_who_may_write_the_service(asks: Any, guarded: InProcess) -> None:
    await registered(guarded)
    _, own = await guarded.token('service "web" { policy = "write" }')
    _, other = await guarded.token('service "web-sidecar-proxy" { policy = "write" }')
    asked = {"node_id": NODE_ID, "proxy_id": "web-1-sidecar-proxy"}
    for token in (own, MANAGER):
        assert (await asks("GetEnvoyBootstrapParams", token, **asked)).service == "web"
    for token in (other, ""):
        with pytest.raises(Denied, match="service:write"):
            await asks("GetEnvoyBootstrapParams", token, **asked)
    asked["proxy_id"] = "not-there"
    with pytest.raises(NotFound):
        await asks("GetEnvoyBootstrapParams", other, **asked)
    with pytest.raises(Denied):  # nobody learns without a token what is there
        await asks("GetEnvoyBootstrapParams", "", **asked)
