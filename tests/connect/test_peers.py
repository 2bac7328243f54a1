from __future__ import annotations

import pytest

from meshagent.catalog.model import Node, Service, ServiceEntry
from meshagent.connect.peers import identities_of, peer_chain, peer_sni, trust_domain_of


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        (peer_sni("web", "11.consul"), "11.consul"),
        ("WEB.EXTERNAL.11.Consul", "11.consul"),
        ("web.default.dc1.internal.11.consul", ""),
        ("external.x", ""),
        ("", ""),
    ],
)
def test_a_caller_says_where_it_is_from(name: str, domain: str) -> None:
    assert trust_domain_of(name) == domain


def test_the_chain_of_a_peers_service_has_one_target() -> None:
    chain = peer_chain("web", "east", "dc1", "http", "own.consul", "2s")
    (target,) = chain.targets.values()
    assert (target.id, target.peer, target.sni, target.connect_timeout) == (
        "web.default.default.external.east", "east", "web.external.own.consul", "2s",
    )  # fmt: skip
    assert (chain.is_http, chain.start, list(chain.nodes)) == (True, f"resolver:{target.id}", [chain.start])


def test_identities_are_those_of_the_places_where_it_runs() -> None:
    rows = [ServiceEntry(Node(name="n", datacenter=dc), Service(id="s", name="s"), ()) for dc in ("b", "a", "b")]
    assert identities_of("web", "east.consul", rows) == (
        "spiffe://east.consul/ns/default/dc/a/svc/web",
        "spiffe://east.consul/ns/default/dc/b/svc/web",
    )
