"""Parts of a bootstrap that are always the same; how they stand in a whole is test_bootstrap.py."""

from __future__ import annotations

from meshagent.connect.envoy import wire
from meshagent.connect.envoy.bootstrap_parts import (
    Prometheus,
    cluster,
    collector_cluster,
    collector_sink,
    listener,
    neighbour,
    place,
    secrets,
)
from meshagent.connect.envoy.resources import CLUSTER, LISTENER


def test_clusters_are_envoys() -> None:
    for made in (
        neighbour("self_admin", "127.0.0.1", 19000),
        collector_cluster("/tmp/x.sock"),
        cluster("a", "2s", place("::1", 1), {"http2_protocol_options": {}}),
    ):
        assert wire.decode(wire.encode(made, CLUSTER), CLUSTER)["name"] == made["name"]


def test_a_listener_shows_one_path_and_nothing_else() -> None:
    made = listener("envoy_ready", ("127.0.0.1", 1), {"path": "/ready"}, "/ready", "self_admin")
    wire.read(made, LISTENER)
    manager = made["filter_chains"][0]["filters"][0]["typedConfig"]
    first, rest = manager["route_config"]["virtual_hosts"][0]["routes"]
    assert first == {"match": {"path": "/ready"}, "route": {"cluster": "self_admin", "prefix_rewrite": "/ready"}}
    assert rest == {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
    assert "transportSocket" not in made["filter_chains"][0]


def test_tls_only_with_a_certificate() -> None:
    assert secrets(Prometheus()) == []
    made = listener("x", ("127.0.0.1", 1), {"path": "/"}, "/", "c", Prometheus(cert_file="c", key_file="k"))
    wire.read(made, LISTENER)
    assert made["filter_chains"][0]["transportSocket"]["name"] == "tls"


def test_the_collector_gets_tags_as_labels() -> None:
    assert collector_sink()["typed_config"]["emit_tags_as_labels"] is True
