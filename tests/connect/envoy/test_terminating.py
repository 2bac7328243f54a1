"""A terminating gateway as Envoy's resources: what is not recorded (surface rows X17, M28)."""

from __future__ import annotations

from typing import Any

import msgspec
from meshtest.gateways import World
from meshtest.meshcerts import TrustDomain

from meshagent.catalog.model import Service
from meshagent.connect.envoy import wire
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import ORDER, Resources
from meshagent.connect.intentions import Default

LEAF = TrustDomain().snapshot("legacy")
NAME = "legacy.default.dc1.internal.td.consul"


def resources(world: World, *services: dict[str, Any], leaf: bool = True) -> Resources:
    """Each shown to be a message."""
    world.entry(Kind="terminating-gateway", Name="out", Services=list(services))
    service = Service(kind="terminating-gateway", id="out", name="out", address="127.0.0.1", port=1)
    held = (LEAF.leaf_chain, LEAF.leaf_key, "", "") if leaf else ("", "", "", "")
    snapshot = world.parts.build(service, Default(False), leaf_of=lambda _: held)
    found = render(msgspec.structs.replace(snapshot, roots=LEAF.roots))
    for type_url in ORDER:
        for resource in found.of(type_url).values():
            wire.encode(resource, type_url)
    return found


def outside(**fields: Any) -> World:
    world = World()
    world.outside("legacy", "10.2.0.1", 8080, **fields)
    return world


def test_without_a_leaf_nobody_is_spoken_for_and_the_rest_stays() -> None:
    found = resources(outside(), {"Name": "legacy"}, leaf=False)
    (listener,) = found.listeners.values()
    assert ["filter_chain_match" in one for one in listener["filter_chains"]] == [False]
    assert list(found.clusters) == [NAME]


def test_files_of_both_ends_are_envoys_to_read() -> None:
    files = {"CAFile": "/ca.pem", "CertFile": "/cert.pem", "KeyFile": "/key.pem"}
    found = resources(outside(), {"Name": "legacy", **files})
    context = found.clusters[NAME]["transport_socket"]["typed_config"]
    assert context["common_tls_context"]["tls_certificates"] == [
        {"certificate_chain": {"filename": "/cert.pem"}, "private_key": {"filename": "/key.pem"}}
    ]
    assert context["common_tls_context"]["validation_context"] == {"trusted_ca": {"filename": "/ca.pem"}}
    assert "sni" not in context


def test_the_callers_host_may_stay_and_requests_have_a_limit() -> None:
    world = outside()
    world.entry(Kind="service-defaults", Name="legacy", Protocol="http2")
    world.entry(Kind="service-resolver", Name="legacy", RequestTimeout="7s")
    found = resources(world, {"Name": "legacy", "DisableAutoHostRewrite": True})
    action = found.routes[NAME]["virtual_hosts"][0]["routes"][0]["route"]
    assert ("auto_host_rewrite" in action, action["timeout"]) == (False, "7s")
    assert "typed_extension_protocol_options" in found.clusters[NAME]
