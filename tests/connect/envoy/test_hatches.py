"""Escape hatches; the recorded resources hold those of upstreams and of the application's cluster."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from meshtest.envoyworld import chain_of, snapshot_of

from meshagent.connect.envoy.hatches import read
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import CLUSTER, LISTENER
from meshagent.connect.snapshot import Cluster, Outbound
from meshagent.errors import BadRequest

TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
PUBLIC = {
    "@type": LISTENER,
    "name": "mine",
    "filterChains": [{"filters": [{"name": "t", "typedConfig": {"@type": TCP, "statPrefix": "s", "cluster": "c"}}]}],
    "default_filter_chain": {"filters": []},
}


def test_a_public_listener_asks_for_mutual_tls_and_intentions_in_every_chain() -> None:
    config = {"envoy_public_listener_json": json.dumps(PUBLIC)}
    made = render(msgspec.structs.replace(snapshot_of(), config=config)).listeners
    assert list(made) == ["mine"]
    chains = [*made["mine"]["filter_chains"], made["mine"]["default_filter_chain"]]
    assert len(chains) == 2
    for chain in chains:
        assert chain["filters"][0]["name"] == "envoy.filters.network.rbac"
        assert chain["transport_socket"]["typed_config"]["require_client_certificate"] is True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "envoy_cluster_json: .*line 1"),
        ("[]", "envoy_cluster_json: is to be a envoy.config.cluster"),
        (json.dumps({"@type": LISTENER}), "is to be a envoy.config.cluster"),
        ('{"name": "x", "nonsense": 1}', "envoy_cluster_json: .*nonsense"),
        ('{"type": "STATIC"}', "envoy_cluster_json: name is missing"),
        ("[" * 100_000, "envoy_cluster_json: "),
    ],
)
def test_what_cannot_be_read_is_named(text: str, words: str) -> None:
    with pytest.raises(BadRequest, match="(?s)" + words):
        read({"envoy_cluster_json": text}, "envoy_cluster_json", CLUSTER)


def rendered(default: bool, **cluster: Any) -> Any:
    chain = msgspec.structs.replace(chain_of("api"), default=default)
    (target,) = chain.targets.values()
    config = {"envoy_cluster_json": json.dumps({"name": "mine", "connect_timeout": "1s", **cluster})}
    outbound = Outbound("api", "127.0.0.1", 9, chain=chain, config=config)
    return render(
        msgspec.structs.replace(
            snapshot_of(), outbound=(outbound,), clusters={target.id: Cluster(target, ("spiffe://x",))}
        )
    )


def test_a_cluster_counts_while_nothing_routes_its_traffic() -> None:
    assert "mine" in rendered(True, type="STATIC").clusters
    assert "mine" not in rendered(False, type="STATIC").clusters


def test_a_cluster_that_asks_for_instances_is_told_them() -> None:
    assert "mine" in rendered(True, type="EDS").endpoints
    assert "other" in rendered(True, type="EDS", eds_cluster_config={"service_name": "other"}).endpoints
    assert rendered(True, type="STATIC").endpoints == {}
