"""Tags and sinks of an Envoy's metrics."""

from __future__ import annotations

import re

import pytest

from meshagent.connect.envoy import stats
from meshagent.errors import BadRequest

CLUSTER = "cluster.f8f8~v2.pong.default.dc2.internal.e5b08d03-bfc3.consul.bind_errors"


def value(metric: str, name: str) -> str | None:
    """What a tag says of a metric."""
    [tag] = [one for one in stats.tags((), (), omit_deprecated=False) if one["tag_name"] == name]
    found = re.match(tag["regex"], metric)
    return found[2] if found else None


@pytest.mark.parametrize(
    ("metric", "tag", "said"),
    [
        (CLUSTER, "consul.destination.custom_hash", "f8f8"),
        (CLUSTER, "consul.destination.service_subset", "v2"),
        (CLUSTER, "consul.destination.service", "pong"),
        (CLUSTER, "consul.destination.datacenter", "dc2"),
        (CLUSTER, "consul.destination.routing_type", "internal"),
        (CLUSTER, "consul.destination.trust_domain", "e5b08d03-bfc3"),
        (CLUSTER, "consul.destination.target", "f8f8~v2.pong.default.dc2"),
        (CLUSTER, "consul.destination.full_target", "f8f8~v2.pong.default.dc2.internal.e5b08d03-bfc3"),
        (CLUSTER, "consul.service", "pong"),
        ("cluster.passthrough~pong.default.dc2.internal.t.consul.x", "consul.destination.service", "pong"),
        ("cluster.pong.default.east.external.t.consul.x", "consul.destination.peer", "east"),
        ("cluster.v2.pong.default.ap1.dc2.internal-v1.t.consul.x", "consul.destination.partition", "ap1"),
        ("http.upstream.web.default.default.dc1.rq", "consul.upstream.service", "web"),
        ("http.upstream.web.default.default.dc1.rq", "consul.upstream.datacenter", "dc1"),
        ("http.upstream_peered.web.default.east.rq", "consul.upstream.peer", "east"),
        ("cluster.local_app.x", "consul.destination.service", None),
    ],
)
def test_what_a_tag_says(metric: str, tag: str, said: str | None) -> None:
    assert value(metric, tag) == said


def test_own_tags_come_first_and_stand_for_fixed_ones() -> None:
    fixed = (("team", "x"), ("local_cluster", "web"), ("y", ""))
    made = stats.tags(["Team=blue", "canary"], fixed, omit_deprecated=True)
    assert made[:2] == [{"tag_name": "team", "fixed_value": "blue"}, {"tag_name": "canary", "fixed_value": "1"}]
    assert made[-1] == {"tag_name": "local_cluster", "fixed_value": "web"}
    assert [one["tag_name"] for one in made].count("team") == 1
    assert not [one for one in made if one["tag_name"] == "consul.service"]


@pytest.mark.parametrize(
    ("key", "address", "place"),
    [
        ("envoy_statsd_url", "udp://10.0.0.1:8125", {"socket_address": {"address": "10.0.0.1", "port_value": 8125}}),
        ("envoy_statsd_url", "udp://${HOST_IP}:1", {"socket_address": {"address": "10.9.9.9", "port_value": 1}}),
        ("envoy_statsd_url", "$SINK", {"socket_address": {"address": "10.8.8.8", "port_value": 2}}),
        ("envoy_dogstatsd_url", "unix:///run/d.sock", {"pipe": {"path": "/run/d.sock"}}),
    ],
)
def test_where_a_sink_sends_to(key: str, address: str, place: object) -> None:
    environment = {"HOST_IP": "10.9.9.9", "SINK": "udp://10.8.8.8:2"}
    assert stats.sink(key, address, environment)["typedConfig"]["address"] == place


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://x:1", 'unsupported address protocol "tcp" for envoy.stat_sinks.statsd sink'),
        ("$NONE", 'unsupported address protocol "" for envoy.stat_sinks.statsd sink'),
        ("udp://x", 'envoy_statsd_url: "udp://x" is not udp://ip:port'),
        ("udp://x:y", 'failed to parse envoy.stat_sinks.statsd sink address "udp://x:y"'),
        ("udp://${OTHER}:1", 'envoy_statsd_url: "udp://${OTHER}:1" is not udp://ip:port'),
    ],
)
def test_addresses_that_are_refused(address: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        stats.sink("envoy_statsd_url", address, {})
    assert str(caught.value) == message
