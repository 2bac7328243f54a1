"""Values of ingress and API gateways."""

from __future__ import annotations

import msgspec

from meshagent.connect.gateways.edge import Certificate, Edge, EdgeListener, EdgeTLS, upstream_key

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
