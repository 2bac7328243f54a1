"""DNS names of an ingress gateway's leaf, and who may have them."""

from __future__ import annotations

from meshtest.gateways import World

from meshagent.connect import certs
from meshagent.connect.gateways.names import MAX_NAMES, leaf_names, may_bear

SERVICES = [{"Name": "api", "Hosts": ["api.example.com", "*.api.example.com:8443"]}]


def world(**fields: object) -> World:
    made = World("api")
    listeners = [{"Port": 1, "Protocol": "http", "Services": SERVICES}]
    made.entry(Kind="ingress-gateway", Name="edge", Listeners=listeners, **fields)
    return made


def test_with_tls_the_leaf_has_the_names_that_lead_to_it() -> None:
    entries = world(TLS={"Enabled": True}).store.config.lookup()
    assert leaf_names(entries, "edge", "dc1", "consul") == (
        "*.ingress.consul", "*.ingress.dc1.consul", "api.example.com", "*.api.example.com",
    )  # fmt: skip


def test_without_tls_it_has_none() -> None:
    entries = world().store.config.lookup()
    assert leaf_names(entries, "edge", "dc1", "consul") == ()
    assert leaf_names(entries, "other", "dc1", "consul") == ()
    assert not may_bear(entries, "edge", "api.example.com")


def test_a_server_vouches_for_the_gateways_own_names_alone() -> None:
    entries = world(TLS={"Enabled": True}).store.config.lookup()
    assert may_bear(entries, "edge", "api.example.com")
    assert may_bear(entries, "edge", "*.ingress.dc1.example")
    assert not may_bear(entries, "edge", "bank.example.com")
    assert not may_bear(entries, "web", "api.example.com")


def test_a_request_may_have_that_many() -> None:
    assert MAX_NAMES == certs.MAX_NAMES
