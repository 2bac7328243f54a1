"""Prepared queries as upstreams."""

from __future__ import annotations

from meshagent.catalog.model import Node, Proxy, Service, ServiceEntry
from meshagent.connect.query_upstreams import identities_of, is_query, query_chain


def test_the_chain_has_one_target_with_the_name_of_the_query() -> None:
    chain = query_chain("geo", "dc1", "tcp", "td.consul", "5s")
    (target,) = chain.targets.values()
    assert is_query(target)
    assert target.sni == "geo.default.dc1.query.td.consul"
    assert chain.default
    assert chain.nodes[chain.start].target == target.id  # type: ignore[union-attr]


def test_whatever_was_found_counts_under_its_own_name() -> None:
    def row(**proxy: str) -> ServiceEntry:
        service = Service(name="x-proxy", proxy=Proxy(**proxy))  # type: ignore[arg-type]
        return ServiceEntry(Node(name="n", datacenter="dc1"), service, ())

    rows = [row(destination_service_name="db"), row(destination_service_name="api"), row()]
    assert [one.rpartition("/")[2] for one in identities_of(rows, "td", "dc1")] == ["api", "db", "x-proxy"]
