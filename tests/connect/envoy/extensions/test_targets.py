"""Whom a filter calls."""

from __future__ import annotations

import pytest
from meshtest.extending import sidecar

from meshagent.catalog.entries.extensions.target import (
    GrpcService,
    KeyValue,
    RetryBackOff,
    RetryPolicy,
    ServiceName,
    Target,
)
from meshagent.connect.envoy import wire
from meshagent.connect.envoy.extensions import targets
from meshagent.connect.envoy.extensions.context import Context
from meshagent.connect.envoy.resources import CLUSTER, Resources
from meshagent.errors import BadRequest


@pytest.fixture
def context() -> Context:
    return Context.over(sidecar(), Resources(), required=False, envoy_version="")


def test_an_address_of_this_host_gets_a_cluster(context: Context) -> None:
    service = GrpcService(Target(uri="localhost:9191", timeout="2s"), "auth.example", (KeyValue("a", "b"),))
    assert targets.grpc_service(context, service, "local_x") == {
        "envoy_grpc": {"cluster_name": "local_x", "authority": "auth.example"},
        "timeout": "2s",
        "initial_metadata": [{"key": "a", "value": "b"}],
    }
    made = context.resources.clusters["local_x"]
    wire.read(made, CLUSTER)
    assert made["connect_timeout"] == "2s"
    assert "typed_extension_protocol_options" in made


def test_an_upstream_has_one(context: Context) -> None:
    service = GrpcService(Target(ServiceName("api")))
    assert targets.grpc_service(context, service, "local_x")["envoy_grpc"]["cluster_name"].startswith(
        "api.default.dc1."
    )
    assert context.resources.clusters == {}


def test_others_are_refused(context: Context) -> None:
    with pytest.raises(BadRequest, match="no upstream definition found for service nobody"):
        targets.grpc_service(context, GrpcService(Target(ServiceName("nobody"))), "x")
    with pytest.raises(BadRequest, match=r"invalid host for Target\.URI"):
        targets.cluster(context, "", "example.com:1", "1s", "x", http2=False)


def test_tries() -> None:
    assert targets.retry_policy(RetryPolicy()) == {"retry_back_off": {"base_interval": "1s", "max_interval": "10s"}}
    made = targets.retry_policy(RetryPolicy(RetryBackOff("100ms", "2s"), 3))
    assert made == {"retry_back_off": {"base_interval": "0.1s", "max_interval": "2s"}, "num_retries": 3}
    assert "num_retries" not in targets.retry_policy(RetryPolicy(num_retries=-1))
