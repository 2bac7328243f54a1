"""Which resources are inbound, and of which upstream the others are."""

from __future__ import annotations

from meshtest.extending import sidecar

from meshagent.connect.envoy.extensions.context import INBOUND, OUTBOUND, Context
from meshagent.connect.envoy.render import render
from meshagent.connect.snapshot import ProxySnapshot

API = "api.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul"


def context(snapshot: ProxySnapshot) -> Context:
    return Context.over(snapshot, render(snapshot), required=False, envoy_version="")


def test_clusters() -> None:
    made = context(sidecar())
    assert made.direction_of_cluster("local_app") == INBOUND
    assert made.direction_of_cluster("local_ext_authz") == ""
    for name in (
        API,
        f"passthrough~{API}",
        f"failover-target~0~{API}",
        f"0a1b2c3d~{API}",
        f"failover-target~1~ab~{API}",
    ):
        assert made.direction_of_cluster(name) == OUTBOUND
        assert made.services_of_cluster(name) == {"api"}
    assert made.cluster_of_service("api") == API
    assert made.cluster_of_service("nobody") == ""


def test_listeners_and_routes() -> None:
    made = context(sidecar())
    directions = {name: made.direction_of_listener(one) for name, one in made.resources.listeners.items()}
    assert directions == {
        "public_listener:127.0.0.1:27001": INBOUND,
        "api:127.0.0.1:27101": OUTBOUND,
        "db:127.0.0.1:27102": OUTBOUND,
    }
    assert made.services_of_listener("db:127.0.0.1:27102") == {"db"}
    assert made.services_of_route("api") == {"api"}
    assert [listener["name"][:3] for listener, _ in made.chains(OUTBOUND)] == ["api", "db:"]
    assert len(list(made.managers(OUTBOUND))) == len(list(made.managers(INBOUND))) == 1
    assert len(list(made.service_chains("api"))) == 1
