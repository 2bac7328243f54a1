"""The bootstrap of an Envoy: what a Consul printed, every key of the configuration, what cannot be used."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from meshtest import ROOT

from meshagent.catalog.model import AccessLogs
from meshagent.connect.collecting import socket_at
from meshagent.connect.envoy import wire
from meshagent.connect.envoy.bootstrap import Facts, GrpcPlace, Wishes, split_bind, text
from meshagent.connect.envoy.bootstrap_parts import Prometheus
from meshagent.errors import BadRequest

GOLDEN = ROOT / "tests/data/golden/mesh/bootstrap"
BOOTSTRAP = "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap"
GRPC = GrpcPlace("127.0.0.1", 8502)
WEB = Facts("web-sidecar-proxy", "web", "web", datacenter="dc1", grpc=GrpcPlace("127.0.0.1", 27000), admin_port=27900)


def made(facts: Facts = WEB, environment: dict[str, str] | None = None, **config: Any) -> Any:
    """The bootstrap, read by Envoy's own message types, too."""
    found = json.loads(text(facts, Wishes.of(config), environment or {}))
    message = copy.deepcopy(found)
    if ads := message.get("dynamic_resources", {}).get("ads_config"):
        ads["grpc_services"] = [ads["grpc_services"]]  # Envoy's reader takes one for a list of one
    wire.read(message, BOOTSTRAP)
    return found


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text().replace('"<grpc>"', "27000"))
    return found


def test_a_sidecar_as_recorded() -> None:
    assert made() == recorded("plain")["bootstrap"]


def test_metrics_and_traces_as_recorded() -> None:
    golden = recorded("stats-and-tracing")
    prometheus = Prometheus(backend_port=27803, scrape_path="/scrape")
    facts = Facts(
        "web-sidecar-proxy",
        "web",
        "web",
        datacenter="dc1",
        grpc=WEB.grpc,
        admin_port=27900,
        prometheus=prometheus,
        omit_deprecated_tags=True,
    )
    assert made(facts, **golden["inputs"][0]["body"]["Config"]) == golden["bootstrap"]


def test_a_gateway_as_recorded() -> None:
    facts = Facts(
        "mgw",
        "mesh-gateway",
        "mgw",
        datacenter="dc1",
        grpc=WEB.grpc,
        admin_port=27900,
        token="00000000-0000-0000-0000-0000000000aa",
        access_logs=AccessLogs(enabled=True),
        ready_bind="127.0.0.1:27804",
    )
    assert made(facts) == recorded("gateway-with-admin-and-token")["bootstrap"]


def test_the_agent_is_reached_over_tls_or_a_socket() -> None:
    facts = Facts("p", "c", grpc=GrpcPlace(socket="/run/grpc.sock", tls=True), ca_pem="PEM\n", node_name="n9")
    found = made(facts)
    [agent] = found["static_resources"]["clusters"]
    endpoint = agent["loadAssignment"]["endpoints"][0]["lbEndpoints"][0]["endpoint"]
    assert endpoint == {"address": {"pipe": {"path": "/run/grpc.sock"}}}
    context = agent["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
    assert context == {"trusted_ca": {"inline_string": "PEM\n"}}
    assert found["node"]["metadata"] == {"node_name": "n9", "namespace": "default", "partition": "default"}
    with pytest.raises(BadRequest, match="no authority is known to verify it by"):
        made(Facts("p", "c", grpc=GrpcPlace("127.0.0.1", 1, tls=True)))


def test_metrics_are_read_over_tls() -> None:
    def secrets(**where: str) -> Any:
        own = Prometheus(cert_file="/c.pem", key_file="/k.pem", **where)
        return made(Facts("p", "c", grpc=GRPC, prometheus=own), envoy_prometheus_bind_addr="[::]:9102")

    found = secrets(ca_file="/ca.pem")["static_resources"]
    [listener] = found["listeners"]
    assert listener["address"] == {"socket_address": {"address": "::", "port_value": 9102}}
    names = listener["filter_chains"][0]["transportSocket"]["typedConfig"]["commonTlsContext"]
    assert names["tlsCertificateSdsSecretConfigs"] == [{"name": "prometheus_cert"}]
    assert [one["name"] for one in found["secrets"]] == ["prometheus_cert", "prometheus_validation_context"]
    assert found["secrets"][1]["validationContext"] == {"trustedCa": {"filename": "/ca.pem"}}
    found = secrets(ca_path="/cas", ca_pem="PEM")["static_resources"]["secrets"]
    assert found[1]["validationContext"] == {"trustedCa": {"inlineString": "PEM"}}


def test_the_admin_interface_is_named_once() -> None:
    found = made(
        Facts("p", "c", grpc=GRPC, ready_bind="127.0.0.1:1"),
        envoy_prometheus_bind_addr="0.0.0.0:2",
        envoy_stats_bind_addr="0.0.0.0:3",
    )
    assert [one["name"] for one in found["static_resources"]["clusters"]] == ["local_agent", "self_admin"]
    names = [one["name"] for one in found["static_resources"]["listeners"]]
    assert names == ["envoy_prometheus_metrics_listener", "envoy_metrics_listener", "envoy_ready_listener"]


def test_a_path_without_its_slash_and_with_a_query() -> None:
    own = Prometheus(scrape_path="scrape?x=1")
    found = made(Facts("p", "c", grpc=GRPC, prometheus=own), envoy_prometheus_bind_addr="0.0.0.0:2")
    manager = found["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typedConfig"]
    assert manager["route_config"]["virtual_hosts"][0]["routes"][0]["match"] == {"path": "/scrape"}


def test_sinks() -> None:
    extra = '{"name": "a", "typed_config": {"@type": "type.googleapis.com/envoy.config.metrics.v3.StatsdSink"}}'
    found = made(
        envoy_statsd_url="udp://127.0.0.1:8125",
        envoy_dogstatsd_url="unix:///run/dog.sock",
        envoy_extra_stats_sinks_json=extra,
        envoy_telemetry_collector_bind_socket_dir="/tmp/t/",
    )
    names = [one["name"] for one in found["stats_sinks"]]
    assert names == ["envoy.stat_sinks.statsd", "envoy.stat_sinks.dog_statsd", "a", "envoy.stat_sinks.metrics_service"]
    [_, loopback] = found["static_resources"]["clusters"]
    place = loopback["loadAssignment"]["endpoints"][0]["lbEndpoints"][0]["endpoint"]["address"]
    assert place == {"pipe": {"path": socket_at("/tmp/t", "web-sidecar-proxy")}}


def test_a_template_of_ones_own() -> None:
    template = """{
      "node": {"id": "{{ .ProxyID }}", "cluster": "{{ .ProxyCluster }}"},
      {{- if .GRPC.AgentTLS }}"no": 1,{{ end }}
      "admin": {
        "address": {"socket_address": {"address": "{{ .AdminBindAddress }}", "port_value": {{ .AdminBindPort }}}}
      },
      "static_resources": {"clusters": [ {{ .StaticClustersJSON }} ]},
      "stats_config": {{ .StatsConfigJSON }}
    }"""
    found = made(envoy_bootstrap_json_tpl=template, envoy_extra_static_clusters_json='{"name": "a"}, {"name": "b"}')
    assert found["node"] == {"id": "web-sidecar-proxy", "cluster": "web"}
    assert [one["name"] for one in found["static_resources"]["clusters"]] == ["a", "b"]
    assert found["stats_config"]["use_all_default_tags"] is True


def test_numbers_and_one_tag_alone_are_taken() -> None:
    wishes = Wishes.of({"envoy_stats_tags": "canary", "envoy_stats_flush_interval": 7, "protocol": "http"})
    assert wishes.envoy_stats_tags == ("canary",)
    assert wishes.envoy_stats_flush_interval == "7"
    assert Wishes.of(None) == Wishes()
    assert Wishes.of({"envoy_statsd_url": True}).envoy_statsd_url == "1"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"envoy_statsd_url": {}}, "failed parsing Proxy.Config: envoy_statsd_url is no text"),
        ({"envoy_prometheus_bind_addr": "9102"}, 'envoy_prometheus_bind_addr: "9102" is not ip:port'),
        ({"envoy_stats_bind_addr": "::1:80"}, 'envoy_stats_bind_addr: "::1:80" is not ip:port'),
        ({"envoy_tracing_json": "{"}, "envoy_tracing_json is not JSON: "),
        ({"envoy_tracing_json": "[]"}, "envoy_tracing_json is no JSON object"),
        ({"envoy_stats_config_json": "x"}, "envoy_stats_config_json is not JSON: "),
        ({"envoy_extra_static_clusters_json": "[1]"}, "envoy_extra_static_clusters_json: JSON objects are wanted"),
        ({"envoy_extra_static_listeners_json": "{}}"}, "envoy_extra_static_listeners_json is not JSON: "),
        ({"envoy_bootstrap_json_tpl": "{{ .No }}"}, "template: can't evaluate field No"),
        ({"envoy_bootstrap_json_tpl": "{"}, "envoy_bootstrap_json_tpl is not JSON: "),
    ],
)
def test_what_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        made(**config)
    assert str(caught.value).startswith(message)


def test_an_address_has_a_port() -> None:
    assert split_bind("k", "[::1]:80") == ("::1", 80)
    assert split_bind("k", ":443") == ("", 443)
    for wrong in ("x", "x:y", "x:70000", "[::1]"):
        with pytest.raises(BadRequest):
            split_bind("k", wrong)
