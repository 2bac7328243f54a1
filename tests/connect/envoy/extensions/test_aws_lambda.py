"""`builtin/aws/lambda`: a service that is a function, for those who call it."""

from __future__ import annotations

from meshtest.extending import sidecar, the_manager

from meshagent.catalog.model import EnvoyExtension
from meshagent.connect.envoy import wire
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import CLUSTER, LISTENER

API = "api.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul"
ARN = "arn:aws:lambda:us-west-2:111111111111:function:lambda-1234"


def extension(**arguments: object) -> EnvoyExtension:
    return EnvoyExtension(name="builtin/aws/lambda", arguments={"ARN": ARN, **arguments})


def test_calls_of_the_service_become_calls_of_the_function() -> None:
    found = render(sidecar(service_extensions={"api": (extension(InvocationMode="asynchronous"),)}))
    cluster = found.clusters[API]
    wire.read(cluster, CLUSTER)
    address = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert (address["address"], address["port_value"]) == ("lambda.us-west-2.amazonaws.com", 443)
    assert cluster["transport_socket"]["typed_config"]["sni"] == "*.amazonaws.com"
    assert API not in found.endpoints
    manager = the_manager(found, "api:")
    made = manager["http_filters"][-2]
    assert made["name"] == "envoy.filters.http.aws_lambda"
    assert made["typed_config"]["arn"] == ARN
    assert made["typed_config"]["invocation_mode"] == "ASYNCHRONOUS"
    assert manager["strip_any_host_port"] is True
    wire.read(found.listeners["api:127.0.0.1:27101"], LISTENER)
    assert (
        found.listeners["public_listener:127.0.0.1:27001"]
        == render(sidecar()).listeners["public_listener:127.0.0.1:27001"]
    )


def test_in_the_own_service_it_changes_nothing() -> None:
    assert render(sidecar(extension())) == render(sidecar())


def test_china_has_a_domain_of_its_own() -> None:
    made = EnvoyExtension(name="builtin/aws/lambda", arguments={"ARN": ARN.replace("arn:aws:", "arn:aws-cn:")})
    found = render(sidecar(service_extensions={"api": (made,)}))
    assert found.clusters[API]["transport_socket"]["typed_config"]["sni"] == "*.amazonaws.com.cn"
