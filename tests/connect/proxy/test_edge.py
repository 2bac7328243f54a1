"""Whatever entry is valid, the built-in proxy works from it; its sockets are in tests/e2e/test_gateways.py."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meshtest.gateways import World
from meshtest.http7 import Client, request
from meshtest.meshcerts import TrustDomain

from meshagent.clock import SystemClock
from meshagent.connect.gateways.edge import Edge, EdgeListener, VirtualHost
from meshagent.connect.proxy.edge import Surroundings
from meshagent.connect.proxy.edge_contexts import EdgeContexts
from meshagent.connect.proxy.http.edge import HttpEdge
from meshagent.connect.proxy.server import Sidecar
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import MeshError

LEAF = TrustDomain().snapshot("gw")
SERVICE = st.fixed_dictionaries(
    {"Name": st.sampled_from(["api", "shop", "*"])},
    optional={
        "Hosts": st.lists(
            st.sampled_from(["a.example.com", "*.b.c", "*", "d.e:81"]), min_size=1, max_size=2, unique=True
        ),
        "RequestHeaders": st.just({"Set": {"x": "1"}, "Remove": ["host"]}),
        "MaxConnections": st.integers(0, 5),
    },
)  # fmt: skip
LISTENER = st.fixed_dictionaries(
    {
        "Port": st.integers(1, 3),
        "Protocol": st.just("http"),
        "Services": st.lists(SERVICE, min_size=1, max_size=3),
    }
)


def run(snapshot: ProxySnapshot, requests: list[bytes]) -> list[list[int]]:
    """For each listener the statuses of requests for these hosts, as far as they are answered without any instance."""

    async def main() -> list[list[int]]:
        gateway = snapshot.gateway
        assert isinstance(gateway, Edge)
        sidecar = Sidecar(SystemClock(), random.Random(1))
        hidden = msgspec.structs.replace(gateway, addresses=())  # nothing is listened at
        await sidecar.apply(msgspec.structs.replace(snapshot, gateway=hidden, clusters=_empty(snapshot)))
        assert sidecar.ready
        found = []
        for listener in gateway.listeners:
            contexts = EdgeContexts()
            assert contexts.follow(listener, snapshot) == ""
            edge = HttpEdge(listener, "127.0.0.1", contexts, _around(sidecar))
            statuses = []
            for host in requests:
                client = Client()
                edge.manager.on_request(client, request(authority=host), True)
                statuses.append(client.status)
            found.append(statuses)
        await sidecar.stop(0.0)
        return found

    return asyncio.run(main())


def _empty(snapshot: ProxySnapshot) -> Any:
    return {name: msgspec.structs.replace(one, endpoints=()) for name, one in snapshot.clusters.items()}


def _around(sidecar: Sidecar) -> Surroundings:
    async def start(_: object) -> None:
        raise AssertionError("nothing is opened")

    return Surroundings(
        sidecar._clock, sidecar._tasks, random.Random(1), sidecar.tallies, sidecar._now, lambda: sidecar.turn,
        sidecar.outbound.get, start, lambda _: None, lambda *_: None, sidecar._seen, sidecar.limiter,
    )  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LISTENER, min_size=1, max_size=2), st.booleans())
def test_any_valid_ingress_entry_is_served(listeners: list[dict[str, Any]], tls: bool) -> None:
    world = World("api", "shop")
    try:
        world.entry(Kind="ingress-gateway", Name="gw", TLS={"Enabled": tls}, Listeners=listeners)
    except MeshError:  # not valid
        return
    snapshot = world.build("ingress-gateway", "gw")
    snapshot = msgspec.structs.replace(
        snapshot, leaf_chain=LEAF.leaf_chain, leaf_key=LEAF.leaf_key, roots=LEAF.roots, trust_domain=LEAF.trust_domain
    )
    gateway = snapshot.gateway
    assert isinstance(gateway, Edge)
    asked = [b"a.example.com", b"x.b.c:80", b"d.e:81", b"api.ingress.consul", b"nowhere"]
    for listener, statuses in zip(gateway.listeners, run(snapshot, asked), strict=True):
        for host, status in zip(asked, statuses, strict=True):  # the service has no instance: 503 from its own cluster
            assert status == (503 if _is_for(listener, host.decode()) else 404)


def _is_for(listener: EdgeListener, authority: str) -> bool:
    def fits(host: VirtualHost) -> bool:
        plain = authority.partition(":")[0]
        for pattern in host.domains:
            suffix, prefix = pattern.removeprefix("*"), pattern.removesuffix("*")
            if pattern in {"*", authority, plain}:
                return True
            if pattern.startswith("*") and plain.endswith(suffix):
                return True
            if pattern.endswith("*") and plain.startswith(prefix):
                return True
        return False

    return any(map(fits, listener.hosts))
