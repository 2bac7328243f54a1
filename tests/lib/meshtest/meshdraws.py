"""Config entries, registrations and upstreams drawn at random for property tests of chains, snapshots and resources."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st

from meshagent.catalog import commands as c
from meshagent.catalog.ca import CAConfig, CARoot
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import (
    AccessLogs,
    Check,
    Expose,
    ExposePath,
    Node,
    PreparedQuery,
    Proxy,
    QueryService,
    Service,
    TransparentProxy,
    Upstream,
    Weights,
)
from meshagent.catalog.peering import commands as p
from meshagent.catalog.peering.model import Peering, TrustBundle
from meshagent.catalog.store import Store
from meshagent.connect.intentions import Default
from meshagent.connect.parts import SnapshotParts
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import MeshError

AT = "2024-01-01T00:00:00Z"
NAMES = ("a", "b", "c")

names = st.sampled_from(NAMES)
subsets = st.sampled_from(["", "v1"])
defaults = st.builds(
    lambda name, protocol: {"Kind": "service-defaults", "Name": name, "Protocol": protocol},
    names, st.sampled_from(["tcp", "http", "http", "http"]),
)  # fmt: skip
places = st.builds(lambda service, subset: {"Service": service, "ServiceSubset": subset}, names, subsets)
resolvers = st.builds(
    lambda name, body: {"Kind": "service-resolver", "Name": name, **body},
    names,
    st.one_of(
        st.just({"Subsets": {"v1": {}}}),
        st.just({"Subsets": {"v1": {}}, "DefaultSubset": "v1"}),
        places.map(lambda place: {"Redirect": place}),
        places.map(lambda place: {"Subsets": {"v1": {}}, "Failover": {"*": {"Targets": [place]}}}),
        places.map(lambda place: {"Subsets": {"v1": {}}, "Mirror": place}),
    ),
)
splitters = st.builds(
    lambda name, one, other: {
        "Kind": "service-splitter", "Name": name, "Splits": [{"Weight": 30, **one}, {"Weight": 70, **other}],
    },
    names, places, places,
)  # fmt: skip
routers = st.builds(
    lambda name, place, more: {
        "Kind": "service-router", "Name": name, "Routes": [{"Destination": {**place, **more}}],
    },
    names, places, st.one_of(st.just({}), places.map(lambda place: {"Mirror": place})),
)  # fmt: skip
#: Entries that chains are made of; they may not fit together.
chain_entries = st.one_of(defaults, resolvers, splitters, routers)

_intentions = st.builds(
    lambda name, source, action: {
        "Kind": "service-intentions", "Name": name, "Sources": [{"Name": source, "Action": action}],
    },
    st.sampled_from(["web", "*", *NAMES]), st.sampled_from(["web", "*", *NAMES]), st.sampled_from(["allow", "deny"]),
)  # fmt: skip
_HTTP = [{"Kind": "service-defaults", "Name": name, "Protocol": "http"} for name in NAMES]
_others = st.lists(
    st.sampled_from(
        [
            {
                "Kind": "mesh", "AllowEnablingPermissiveMutualTLS": True,
                "TransparentProxy": {"MeshDestinationsOnly": True},
            },
            {"Kind": "service-defaults", "Name": "web", "Protocol": "tcp", "MutualTLSMode": "permissive"},
            {"Kind": "service-resolver", "Name": "a", "Redirect": {"Peer": "east"}},
            {"Kind": "service-defaults", "Name": "ext", "Destination": {"Addresses": ["10.9.9.9", "x.y"], "Port": 99}},
        ]
    ),
    max_size=3,
)  # fmt: skip
_paths = st.sampled_from(
    [
        (),
        (ExposePath(path="/x", local_path_port=80, listener_port=7000, protocol="http"),),
        tuple(ExposePath(path="/x", local_path_port=81, listener_port=port, protocol="http2") for port in (7000, 7001)),
    ]
)
_instances = st.tuples(
    names, st.integers(1, 3), st.sampled_from(["passing", "warning", "critical"]), st.booleans(), st.integers(0, 300)
)
_configs = st.sampled_from(
    [
        {},
        {"connect_timeout_ms": 500},
        {"protocol": "http"},
        {"protocol": "grpc"},
        {"limits": {"max_connections": 0}, "health_check": {"grpc": True}},
        {"load_balancing_policy": "least_request", "slow_start_window": "5s"},
        {"l7": {"mirror": "b", "fault_abort_status": 503}},
    ]
)
_upstreams = st.lists(
    st.tuples(names, st.sampled_from(["service", "query", "peer", "dc2"]), _configs),
    max_size=4,
    unique_by=lambda x: x[:2],
)


@st.composite
def sidecars(draw: st.DrawFn) -> ProxySnapshot:
    """The snapshot of `web`'s sidecar in a world that may have been built so."""
    store = Store()
    run = _runner(store)
    run(c.CASet(CAConfig(), 0, AT, "td", CARoot("r", "n", 7, "ski", "td", AT, AT, "pem")))
    common = _HTTP if draw(st.booleans()) else []
    for raw in (*common, *draw(_others), *draw(st.lists(st.one_of(chain_entries, _intentions), max_size=8))):
        run(c.ConfigEntrySet(parse(raw), None, AT))  # type: ignore[arg-type]
    for name, number, status, direct, weight in draw(st.lists(_instances, max_size=6)):
        run(_register(name, number, status, direct, weight))
    if draw(st.booleans()):
        run(p.PeeringSet(Peering(id="p", name="east")))
        run(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="east.consul", roots=("root of east",))))
    run(c.PreparedQuerySet(PreparedQuery(id="1" * 8, name="a", service=QueryService(service="a"))))
    upstreams = [_upstream(at, *row) for at, row in enumerate(draw(_upstreams))]
    block = TransparentProxy(dialed_directly=draw(st.booleans()))
    mode = draw(st.sampled_from(["", "transparent"]))
    proxy = Proxy(
        destination_service_name="web", local_service_port=80, upstreams=tuple(upstreams), mode=mode,
        transparent_proxy=block if mode else None,
        access_logs=AccessLogs(enabled=draw(st.booleans())), expose=Expose(paths=draw(_paths)),
        config=draw(st.sampled_from([{}, {"protocol": "http"}, {"max_inbound_connections": 3}])),
    )  # fmt: skip
    service = Service(kind="connect-proxy", id="web-proxy", name="web-proxy", port=21000, proxy=proxy)
    parts = SnapshotParts(store, "dc1", lambda: None)
    return parts.build(service, Default(draw(st.booleans())), ("leaf", "key", AT, AT))


def _runner(store: Store) -> Any:
    def run(command: Any) -> None:
        try:
            store.apply(c.encode(command))
        except MeshError:
            pass  # entries that do not fit together are refused
        store.flush()

    return run


def _register(name: str, number: int, status: str, direct: bool, weight: int) -> c.Register:
    proxy = Proxy(
        destination_service_name=name, local_service_port=8080, mode="transparent",
        transparent_proxy=TransparentProxy(dialed_directly=direct),
    )  # fmt: skip
    service = Service(
        kind="connect-proxy", id=f"{name}-{number}", name=f"{name}-proxy", port=20000 + number, proxy=proxy,
        weights=Weights(passing=max(weight, 1), warning=weight),
    )  # fmt: skip
    check = Check(node=f"n{number}", check_id=f"{name}{number}", status=status, service_id=service.id)
    return c.Register(Node(name=f"n{number}", address=f"10.0.0.{number}", datacenter="dc1"), service, (check,))


def _upstream(at: int, name: str, where: str, config: dict[str, Any]) -> Upstream:
    return Upstream(
        destination_name=name,
        local_bind_port=9000 + at,
        destination_type="prepared_query" if where == "query" else "service",
        destination_peer="east" if where == "peer" else "",
        datacenter="dc2" if where == "dc2" else "",
        config=config,
    )
