"""The snapshot of a proxy: from a registration, and as bytes (surface rows M2, M4, M70)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Proxy, Service, Upstream
from meshagent.connect.chain import compile_chain
from meshagent.connect.intentions import Intention
from meshagent.connect.snapshot import Cluster, Endpoint, ProxySnapshot, inbound_of, outbound_of


def chain(service: str, *raws: dict[str, Any]) -> Any:
    entries: dict[tuple[str, str], Entry] = {(one.kind, one.name): one for one in map(parse, raws)}
    return compile_chain(Lookup(lambda k, n: entries.get((k, n)), lambda k: []), service, "dc1", "td.consul")


def sidecar(port: int = 21000, **proxy: Any) -> Service:
    return Service(
        kind="connect-proxy", id="p", name="p", port=port, proxy=Proxy(destination_service_name="web", **proxy)
    )


def test_the_inbound_side() -> None:
    inbound = inbound_of(sidecar(local_service_port=80, config={"local_connect_timeout_ms": 700, "protocol": "HTTP"}))
    assert inbound is not None
    assert (inbound.address, inbound.port, inbound.local_address, inbound.local_port) == (
        "0.0.0.0",
        21000,
        "127.0.0.1",
        80,
    )
    assert (inbound.connect_timeout_ms, inbound.handshake_timeout_ms, inbound.protocol) == (700, 10_000, "http")
    bound = inbound_of(sidecar(config={"bind_port": 20001}))
    assert bound is not None
    assert bound.port == 20001
    assert inbound_of(sidecar(port=0)) is None
    assert inbound_of(Service(name="web", port=1)) is None


def test_idle_timeouts_and_proxy_headers() -> None:
    config = {"local_idle_timeout_ms": 0, "local_proxy_protocol": "V2", "detect_timeout_ms": 50}
    inbound = inbound_of(sidecar(config=config))
    assert inbound is not None
    assert (inbound.idle_timeout_ms, inbound.proxy_protocol, inbound.detect_timeout_ms) == (0, "v2", 50)
    plain = inbound_of(sidecar(config={"local_proxy_protocol": "v3", "local_idle_timeout_ms": "1s"}))
    assert plain is not None
    assert (plain.idle_timeout_ms, plain.proxy_protocol) == (None, "")
    config = {"idle_timeout_ms": 900, "accept_proxy_protocol": True}
    one = outbound_of(Upstream(destination_name="db", local_bind_port=1, config=config), None)
    assert (one.idle_timeout_ms, one.accept_proxy_protocol) == (900, True)
    other = outbound_of(Upstream(destination_name="db", local_bind_port=1, config={"accept_proxy_protocol": 1}), None)
    assert (other.idle_timeout_ms, other.accept_proxy_protocol) == (None, False)


@pytest.mark.parametrize("wrong", ["700", -1, True, None, 2**40])
def test_a_setting_of_a_wrong_type_is_as_if_not_set(wrong: Any) -> None:
    inbound = inbound_of(sidecar(config={"local_connect_timeout_ms": wrong}))
    assert inbound is not None
    assert inbound.connect_timeout_ms == 1000


def test_the_outbound_side() -> None:
    upstream = Upstream(destination_name="db", local_bind_port=9191, config={"limits": {"max_connections": 3}})
    one = outbound_of(upstream, None, "why")
    assert (one.key, one.resilience.limits.max_connections, one.problem) == ("127.0.0.1:9191", 3, "why")
    assert outbound_of(Upstream(destination_name="db", local_bind_socket_path="/run/x"), None).key == "/run/x"


def test_it_survives_json_and_msgpack_and_hides_its_key() -> None:
    found = chain("db", {"Kind": "service-resolver", "Name": "db", "Failover": {"*": {"Datacenters": ["dc2"]}}})
    target = found.targets["db.default.default.dc1"]
    snapshot = ProxySnapshot(
        "p", "web", "dc1", "td.consul", True, "r",
        intentions=(Intention("a", "web", "allow", 9, meta=(("k", "v"),)),),
        roots=("pem",), leaf_chain="chain", leaf_key="secret",
        inbound=inbound_of(sidecar()),
        outbound=(outbound_of(Upstream(destination_name="db", local_bind_port=1), found),),
        clusters={target.id: Cluster(target, ("spiffe://x",), (Endpoint("i", "n", "10.0.0.1", 1),))},
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=ProxySnapshot) == snapshot
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=ProxySnapshot) == snapshot
    assert "secret" not in str(snapshot.shown())
    assert snapshot.digest() == snapshot.digest() != msgspec.structs.replace(snapshot, roots=()).digest()
