"""What the web page reads (IN1-IN5); recorded answers are replayed by tests/conformance (ui-internal)."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.httpapi import Api


async def put(api: Api, path: str, body: Any) -> None:
    answer = await api.put(path, body)
    assert answer.status == 200, answer.text


async def register(api: Api, node: str, service: dict[str, Any], *states: str) -> None:
    checks = [
        {"CheckID": f"{service['ID']}-{at}", "Name": "alive", "Status": state, "ServiceID": service["ID"]}
        for at, state in enumerate(states)
    ]
    body = {"Node": node, "Address": "10.0.0.1", "Service": service, "Checks": checks}
    await put(api, "/v1/catalog/register", body)


async def mesh(api: Api, mode: str = "") -> None:
    """web (two instances) -> api, in is an ingress gateway before web."""
    await register(api, "a", {"ID": "web1", "Service": "web", "Port": 1, "Tags": ["b", "a"]}, "passing")
    await register(
        api, "b", {"ID": "web2", "Service": "web", "Port": 1, "Meta": {"external-source": "nomad"}}, "warning"
    )
    await register(api, "b", {"ID": "api", "Service": "api", "Port": 2}, "passing", "critical")
    for name, upstreams in (("web", [{"DestinationName": "api", "LocalBindPort": 9}]), ("api", [])):
        proxy = {"DestinationServiceName": name, "Upstreams": upstreams, "Mode": mode}
        service = {"ID": f"{name}-px", "Service": f"{name}-px", "Kind": "connect-proxy", "Port": 3, "Proxy": proxy}
        await register(api, "b", service)
    listeners = [{"Port": 8080, "Protocol": "tcp", "Services": [{"Name": "web"}]}]
    await put(api, "/v1/config", {"Kind": "ingress-gateway", "Name": "in", "Listeners": listeners})


async def read(api: Api, path: str) -> Any:
    answer = await api.ask("GET", f"/v1/internal/ui/{path}")
    assert answer.status == 200, answer.text
    return answer.json


async def test_a_service_is_one_row_whatever_it_has_of_instances(api: Api) -> None:  # IN2
    await mesh(api)
    rows = {row["Name"]: row for row in await read(api, "services")}
    web = rows["web"]
    assert web["Tags"] == ["a", "b"]
    assert web["Nodes"] == ["a", "b"]
    assert web["ExternalSources"] == ["nomad"]
    assert [web[name] for name in ("InstanceCount", "ChecksPassing", "ChecksWarning", "ChecksCritical")] == [2, 1, 1, 0]
    assert web["ConnectedWithProxy"]
    assert web["ConnectedWithGateway"]
    assert rows["web-px"]["Kind"] == "connect-proxy"
    assert not rows["api"]["ConnectedWithGateway"]
    chosen = await read(api, "services?filter=Service.Tags%20contains%20a")
    assert [(row["Name"], row["InstanceCount"]) for row in chosen] == [("web", 1)]


async def test_a_node_has_all_that_is_on_it(api: Api) -> None:  # IN1
    await mesh(api)
    node = await read(api, "node/a")
    assert [one["ID"] for one in node["Services"]] == ["web1"]
    assert [one["CheckID"] for one in node["Checks"]] == ["web1-0"]
    assert [row["Node"] for row in await read(api, "nodes?filter=Node%20%3D%3D%20b")] == ["b"]
    answer = await api.ask("GET", "/v1/internal/ui/node/nope")
    assert (answer.status, answer.text) == (404, "")


async def test_counts_are_by_the_worst_check(api: Api) -> None:  # IN3
    await mesh(api)
    found = await read(api, "catalog-overview")
    counts = {row["Name"]: row for row in found["Services"]}
    assert counts["web"] == {"Name": "web", "Total": 2, "Passing": 1, "Warning": 1, "Critical": 0}
    assert counts["api"]["Critical"] == 1
    assert sum(found["Nodes"][0][state] for state in ("Passing", "Warning", "Critical")) == found["Nodes"][0]["Total"]


async def test_neighbours_and_what_intentions_say_of_them(api: Api) -> None:  # IN4
    await mesh(api)
    await put(
        api, "/v1/config", {"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Action": "deny"}]}
    )
    found = await read(api, "service-topology/web?kind=")
    (up,) = found["Upstreams"]
    assert (up["Name"], up["Source"], up["Intention"]["Allowed"], up["Intention"]["HasExact"]) == (
        "api", "proxy-registration", False, True,
    )  # fmt: skip
    assert found["Downstreams"] == [] or found["Downstreams"][0]["Name"] == "in"
    (down,) = (await read(api, "service-topology/api?kind="))["Downstreams"]
    assert (down["Name"], down["Intention"]["Allowed"]) == ("web", False)


async def test_transparent_proxies_have_neighbours_by_intention(api: Api) -> None:  # IN4
    await mesh(api, mode="transparent")
    found = await read(api, "service-topology/api?kind=")
    assert found["TransparentProxy"]
    assert [(one["Name"], one["Source"]) for one in found["Upstreams"]] == [("web", "default-allow")]


async def test_services_behind_a_gateway_with_the_addresses_they_have_there(api: Api) -> None:  # IN5
    await mesh(api)
    (web,) = await read(api, "gateway-services-nodes/in")
    assert (web["Name"], web["GatewayConfig"]["Addresses"]) == ("web", ["web.ingress.*:8080"])
    await put(
        api, "/v1/config", {"Kind": "service-intentions", "Name": "web", "Sources": [{"Name": "*", "Action": "allow"}]}
    )
    (intention,) = await read(api, "gateway-intentions/in")
    assert (intention["SourceName"], intention["DestinationName"]) == ("*", "web")


async def test_exports_to_a_peer(api: Api) -> None:  # IN5
    services = [{"Name": "web", "Consumers": [{"Peer": "east"}]}]
    await put(api, "/v1/config", {"Kind": "exported-services", "Name": "default", "Services": services})
    (web,) = await read(api, "exported-services?peer=east")
    assert (web["Name"], web["InstanceCount"], web["Nodes"]) == ("web", 0, None)
    assert await read(api, "exported-services?peer=west") == []


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("node/", 400, "Missing node name"),
        ("service-topology/?kind=", 400, "Missing service name"),
        ("service-topology/web", 400, "Missing service kind"),
        ("service-topology/web?kind=x", 400, 'Unsupported service kind "x"'),
        ("gateway-services-nodes/", 400, "Missing gateway name"),
        ("gateway-intentions/", 400, "Missing gateway name"),
        ("exported-services", 500, "must provide PeerName"),
    ],
)
async def test_what_is_missing_is_named(api: Api, path: str, status: int, text: str) -> None:  # IN1-IN5
    answer = await api.ask("GET", f"/v1/internal/ui/{path}")
    assert (answer.status, answer.text) == (status, text)
