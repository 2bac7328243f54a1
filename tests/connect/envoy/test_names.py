"""Names of clusters, listeners and statistics; the recorded resources hold the usual ones."""

from __future__ import annotations

from meshtest.envoyworld import chain_of

from meshagent.connect.envoy import names
from meshagent.connect.exposing import Exposed
from meshagent.connect.peers import peer_chain
from meshagent.connect.snapshot import Outbound


def test_an_upstream_is_told_from_the_same_service_elsewhere() -> None:
    assert names.upstream(Outbound("api", "127.0.0.1", 1, datacenter="dc2")) == "api?dc=dc2"
    assert names.upstream(Outbound("api", "127.0.0.1", 1, peer="east")) == "api?peer=east"
    query = Outbound("geo", "127.0.0.1", 1, destination_type="prepared_query")
    assert names.listener(query) == "prepared_query:geo:127.0.0.1:1"
    assert names.stat(query, "dc1") == "upstream.prepared_query_geo"


def test_statistics_say_where_an_upstream_is() -> None:
    assert names.stat(Outbound("api", "", 0), "dc1") == "upstream.api.default.default.dc1"
    assert names.stat(Outbound("api", "", 0, datacenter="dc2"), "dc1") == "upstream.api.default.default.dc2"
    assert names.stat(Outbound("api", "", 0, peer="east"), "dc1") == "upstream_peered.api.default.east"


def test_a_listener_of_ipv6_and_of_a_path() -> None:
    assert names.listener(Outbound("api", "::1", 9)) == "api:[::1]:9"
    assert names.listener(Outbound("api", "", 0, "/run/api.sock")) == "api:/run/api.sock"


def test_clusters_of_peers_are_told_apart() -> None:
    redirect = {"Kind": "service-resolver", "Name": "web", "Redirect": {"Service": "api", "Peer": "west"}}
    redirected = chain_of("web", redirect)
    west = "api.default.default.external.west"
    assert names.cluster(redirected, west) == "api.default.west.external.td"
    chain = peer_chain("api", "east", "dc1", "tcp", "td.consul", "5s")
    assert names.cluster(chain, "api.default.default.external.east") == "api.default.east.external.td.consul"
    unnamed = Exposed("127.0.0.1", 9, "/a/b-c", "127.0.0.1", 8)
    assert names.exposed_filter(unnamed) == "exposed_path_filter_abc_9"
