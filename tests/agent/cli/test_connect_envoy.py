"""`connect envoy`: which registration, what is refused, what is printed; an Envoy of it is tests/interop."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

WEB = {
    "ID": "web-sidecar-proxy",
    "Service": "web-sidecar-proxy",
    "Kind": "connect-proxy",
    "Datacenter": "dc1",
    "Proxy": {"DestinationServiceName": "web", "DestinationServiceID": "web", "Config": {"envoy_stats_tags": ["a=b"]}},
}
MGW = {"ID": "mgw-1", "Service": "mgw", "Kind": "mesh-gateway", "Datacenter": "dc1", "Proxy": {}}


@pytest.fixture(autouse=True)
def agent(stub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    stub.answer("agent/services", {"web": {"ID": "web"}, "w": WEB, "m": MGW})
    stub.answer("agent/service/web-sidecar-proxy", WEB)
    stub.answer("agent/service/mgw-1", MGW)
    stub.answer("agent/self", {"xDS": {"Ports": {"Plaintext": 7502, "TLS": -1}}})
    for name in ("CONNECT_PROXY_ID", "CONNECT_SIDECAR_FOR", "CONSUL_GRPC_ADDR", "CONSUL_GRPC_CACERT"):
        monkeypatch.delenv(name, raising=False)
    return stub


def printed(ran: Any) -> Any:
    assert (ran.status, ran.err) == (0, ""), ran
    return json.loads(ran.out)


def tags(bootstrap: Any) -> dict[str, str]:
    return {one["tag_name"]: one.get("fixed_value", "") for one in bootstrap["stats_config"]["stats_tags"]}


def agent_address(bootstrap: Any) -> Any:
    [endpoints] = bootstrap["static_resources"]["clusters"][0]["loadAssignment"]["endpoints"]
    return endpoints["lbEndpoints"][0]["endpoint"]["address"]


def test_a_sidecar(cli: Any) -> None:
    found = printed(cli("connect envoy -sidecar-for web -bootstrap"))
    assert found["node"] == {
        "cluster": "web",
        "id": "web-sidecar-proxy",
        "metadata": {"namespace": "default", "partition": "default"},
    }
    assert agent_address(found) == {"socket_address": {"address": "127.0.0.1", "port_value": 7502}}
    assert found["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 19000}
    assert tags(found)["a"] == "b"
    assert tags(found)["consul.source.datacenter"] == "dc1"


def test_the_environment_names_proxy_agent_and_token(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECT_PROXY_ID", "web-sidecar-proxy")
    monkeypatch.setenv("CONSUL_GRPC_ADDR", "unix:///run/g.sock")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "t0k")
    found = printed(cli("connect envoy -bootstrap -admin-bind 127.0.0.1:19001"))
    assert agent_address(found) == {"pipe": {"path": "/run/g.sock"}}
    assert found["dynamic_resources"]["ads_config"]["grpc_services"]["initial_metadata"][0]["value"] == "t0k"


def test_nomads_line(cli: Any, stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row N7: what it gives for a sidecar whose agent it reaches by a socket of the allocation, with TLS inside."""
    monkeypatch.delenv("CONSUL_HTTP_ADDR")
    for name, value in (("CONSUL_HTTP_SSL", "false"), ("CONSUL_HTTP_SSL_VERIFY", "true")):
        monkeypatch.setenv(name, value)
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
    found = printed(
        cli(
            "connect", "envoy", "-grpc-addr", "unix://alloc/tmp/consul_grpc.sock", "-http-addr", stub.address,
            "-admin-bind", "127.0.0.2:19001", "-address", "127.0.0.1:19101", "-proxy-id", "web-sidecar-proxy",
            "-bootstrap", "-token", "t0k", "-grpc-ca-file", str(pem), "-ca-file", str(pem),
        )
    )  # fmt: skip
    assert agent_address(found) == {"pipe": {"path": "alloc/tmp/consul_grpc.sock"}}
    assert found["static_resources"]["clusters"][0]["transport_socket"]["name"] == "tls"
    assert found["admin"]["address"]["socket_address"] == {"address": "127.0.0.2", "port_value": 19001}
    assert "listeners" not in found["static_resources"], "/ready is of gateways"
    assert stub.last.headers["X-Consul-Token"] == "t0k"


def test_tls_needs_an_authority(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
    line = "connect envoy -sidecar-for web -bootstrap -grpc-addr https://127.0.0.1:8503"
    ran = cli(line)
    assert ran.status == 1
    assert "no authority is known to verify it by: set -grpc-ca-file" in ran.err
    for variable in ("CONSUL_GRPC_CACERT", "CONSUL_CACERT"):
        monkeypatch.setenv(variable, str(pem))
        [cluster] = printed(cli(line))["static_resources"]["clusters"]
        assert cluster["transport_socket"]["name"] == "tls"
        monkeypatch.delenv(variable)


def test_nothing_is_asked_without_central_config(cli: Any, stub: Any) -> None:
    line = "connect envoy -proxy-id p -no-central-config -grpc-addr 127.0.0.1:1 -bootstrap -omit-deprecated-tags"
    found = printed(cli(line))
    assert stub.asked == []
    assert found["node"]["cluster"] == "p"
    assert "consul.service" not in tags(found)


def test_a_proxy_of_another_node(cli: Any, stub: Any) -> None:
    stub.answer("catalog/node-services/n9", {"Services": [{**WEB, "ID": "w9"}]})
    found = printed(cli("connect envoy -proxy-id w9 -node-name n9 -bootstrap"))
    assert found["node"]["metadata"]["node_name"] == "n9"
    assert found["node"]["cluster"] == "web"


def test_a_gateway_is_found_by_its_kind(cli: Any) -> None:
    found = printed(cli("connect envoy -gateway mesh -bootstrap"))
    assert (found["node"]["id"], found["node"]["cluster"]) == ("mgw-1", "mgw")
    assert "listeners" not in found["static_resources"]


def test_a_gateway_is_registered_first(cli: Any, stub: Any) -> None:
    stub.answer("agent/service/register", method="PUT")
    stub.answer("agent/service/edge", {**MGW, "ID": "edge", "Service": "edge", "Kind": "ingress-gateway"})
    line = "connect envoy -gateway=ingress -register -service edge -address 127.0.0.1:8888 -bootstrap"
    found = printed(cli(line))
    [body] = [one.json for one in stub.asked if one.path == "/v1/agent/service/register"]
    assert (body["Kind"], body["ID"], body["Name"]) == ("ingress-gateway", "edge", "edge")
    assert body["Check"]["TCP"] == "127.0.0.1:8888"
    [listener] = found["static_resources"]["listeners"]
    assert listener["name"] == "envoy_ready_listener"
    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8888}


def test_a_template_finds_the_address(cli: Any, stub: Any) -> None:
    stub.answer("agent/service/register", method="PUT")
    stub.answer("agent/service/mesh-gateway", {**MGW, "ID": "mesh-gateway"})
    ran = cli(
        "connect", "envoy", "-gateway=mesh", "-register", "-bootstrap",
        "-address", '{{ GetAllInterfaces | include "name" "^lo$" | include "type" "ipv4" | attr "address" }}:8443',
    )  # fmt: skip
    printed(ran)
    [body] = [one.json for one in stub.asked if one.path == "/v1/agent/service/register"]
    assert (body["Address"], body["Port"]) == ("127.0.0.1", 8443)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "No proxy ID specified. One of -proxy-id, -sidecar-for, or -gateway is required"),
        ("-sidecar-for db", "No sidecar proxy registered for db"),
        ("-gateway terminating", "No terminating-gateway services registered with this agent"),
        ("-gateway egress", "Gateway must be one of: api, terminating, mesh, or ingress"),
        ("-proxy-id x -expose-servers", "'-expose-servers' can only be used for mesh gateways"),
        ("-gateway mesh -expose-servers", "'-expose-servers' requires '-register'"),
        ("-proxy-id x -register", "Auto-Registration can only be used for gateways"),
        ("-gateway mesh -register -proxy-id x -node-name n", "'-register' cannot be used with '-node-name'"),
        ("-sidecar-for web -node-name n", "'-node-name' requires '-proxy-id'"),
        (
            "-proxy-id x -prometheus-ca-file a",
            "Must provide a CA (-prometheus-ca-file or -prometheus-ca-path) as well as -prometheus-cert-file and "
            "-prometheus-key-file to enable TLS for prometheus metrics",
        ),
        ("-proxy-id x -prometheus-backend-port http", "-prometheus-backend-port: 'http' is no port"),
        ("-sidecar-for web -admin-bind localhost", '-admin-bind: "localhost" is not ip:port'),
        (
            "-proxy-id none",
            "failed fetch proxy config from local agent: Unexpected response code: 404 (no such answer)",
        ),
        (
            "-proxy-id web -grpc-addr :1",
            "failed fetch proxy config from local agent: Unexpected response code: 404 (no such answer)",
        ),
        ("-gateway mesh -register -address 10.0.0.1", 'invalid value for flag -address: Error parsing address "10.0.'),
        ("-gateway mesh -register -bind-address x", 'invalid value "x" for flag -bind-address: expected key=value'),
        (
            "-gateway mesh -register -address 203.0.113.1:1",
            'The LAN address "203.0.113.1" will not be bindable. Either set a bindable address or override',
        ),
        ("-gateway mesh -register", 'Error registering service "mesh-gateway": Unexpected response code: 404'),
    ],
)
def test_what_is_refused(cli: Any, line: str, message: str) -> None:
    ran = cli("connect", "envoy", "-bootstrap", *line.split())
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(message), ran.err


def test_a_service_is_no_proxy(cli: Any, stub: Any) -> None:
    stub.answer("agent/service/web", {"ID": "web", "Service": "web"})
    assert cli("connect envoy -proxy-id web").err == "service is not a Connect proxy or gateway\n"


def test_what_the_configuration_has_wrong_is_said(cli: Any, stub: Any) -> None:
    wrong = {**WEB, "Proxy": {"DestinationServiceName": "web", "Config": {"envoy_tracing_json": "{"}}}
    stub.answer("agent/service/web-sidecar-proxy", wrong)
    assert cli("connect envoy -sidecar-for web").err.startswith("envoy_tracing_json is not JSON: ")


def test_that_servers_are_not_reached_through_it_is_said(cli: Any, stub: Any) -> None:
    stub.answer("agent/service/register", b"", method="PUT")
    stub.answer("agent/service/gw", {"ID": "gw", "Service": "gw", "Kind": "mesh-gateway", "Proxy": {}})
    ran = cli("connect envoy -gateway mesh -register -service gw -expose-servers -bootstrap")
    assert (ran.status, json.loads(ran.out)["node"]["id"]) == (0, "gw")
    assert ran.err == "-expose-servers has no effect: servers reach those of other datacenters directly\n"
    (registered,) = [asked.json for asked in stub.asked if asked.method == "PUT"]
    assert registered["Meta"] == {"consul-wan-federation": "1"}


def test_an_envoy_that_cannot_be_run(cli: Any, tmp_path: Path) -> None:
    ran = cli("connect", "envoy", "-sidecar-for", "web", "-envoy-binary", str(tmp_path / "none"))
    assert ran.err.startswith("Couldn't find envoy binary: exec: ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert cli("connect envoy -sidecar-for web").err.endswith("in $PATH; -envoy-binary says where it is\n")
    old = tmp_path / "envoy"
    old.write_text(f"#!{sys.executable}\nprint('envoy  version: 0/1.20.1/Clean/RELEASE/BoringSSL')\n")
    old.chmod(0o755)
    ran = cli("connect", "envoy", "-sidecar-for", "web", "-envoy-binary", str(old))
    assert ran.status == 1
    assert ran.err.startswith("Envoy version 1.20.1 is not supported. ")


def test_what_it_is_made_from_is_said_on_request(cli: Any) -> None:
    ran = cli("connect envoy -sidecar-for web -bootstrap -enable-config-gen-logging")
    assert ran.err == "proxy web-sidecar-proxy of web, agent at 127.0.0.1:7502\n"
