"""Values of ingress and API gateways."""

from __future__ import annotations

import msgspec

from meshagent.connect.gateways.edge import Certificate, Edge, EdgeListener, EdgeTLS, upstream_key, with_ready

CERTIFICATES = (Certificate("a", "chain", "secret"), Certificate("b", "/chain.pem", "/key.pem", files=True))
EDGE = Edge(("0.0.0.0",), (EdgeListener("1", 1), EdgeListener("2", 2, "http", EdgeTLS(CERTIFICATES))))


def test_no_private_key_is_shown() -> None:
    shown = EDGE.shown()["listeners"][1]["tls"]["certificates"]
    assert [one["key"] for one in shown] == ["hidden", "/key.pem"]


def test_it_comes_back_from_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(EDGE), type=Edge) == EDGE


def test_listeners_route_requests_or_connections() -> None:
    assert [one.is_http for one in EDGE.listeners] == [False, True]


def test_listeners_have_upstreams_of_their_own() -> None:
    assert upstream_key("80", "web") != upstream_key("81", "web")


def test_the_registrations_port_says_that_the_gateway_lives_unless_it_is_a_listeners() -> None:
    assert [(one.port, one.ready) for one in with_ready(3, EDGE.listeners)] == [(1, False), (2, False), (3, True)]
    assert with_ready(2, EDGE.listeners) == EDGE.listeners
    assert with_ready(0, EDGE.listeners) == EDGE.listeners
