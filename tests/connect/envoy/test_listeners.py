"""Listeners; the recorded resources hold the usual ones."""

from __future__ import annotations

import msgspec
from meshtest.envoyworld import chain_of, snapshot_of

from meshagent.connect.envoy import listeners
from meshagent.connect.envoy.render import render
from meshagent.connect.snapshot import Cluster, Inbound, Outbound


def test_networks_of_both_families() -> None:
    assert listeners.prefix("10.1.2.3/8") == {"address_prefix": "10.0.0.0", "prefix_len": 8}
    assert listeners.prefix("fd00::1") == {"address_prefix": "fd00::1", "prefix_len": 128}


def test_connections_are_spread_where_it_is_asked_for() -> None:
    inbound = Inbound("127.0.0.1", 9, "127.0.0.1", 8, balance_connections="exact_balance", max_connections=3)
    (made,) = render(msgspec.structs.replace(snapshot_of(), inbound=inbound)).listeners.values()
    assert made["connection_balance_config"] == {"exact_balance": {}}
    names = [one["name"].rpartition(".")[2] for one in made["filter_chains"][0]["filters"]]
    assert names == ["rbac", "connection_limit", "tcp_proxy"]


def test_an_upstream_at_a_path_with_a_mode() -> None:
    chain = chain_of("api")
    outbound = Outbound("api", "", 0, "/run/api.sock", "0660", chain=chain)
    (target,) = chain.targets.values()
    snapshot = msgspec.structs.replace(snapshot_of(), outbound=(outbound,), clusters={target.id: Cluster(target, ())})
    assert render(snapshot).listeners["api:/run/api.sock"]["address"] == {
        "pipe": {"path": "/run/api.sock", "mode": 0o660}
    }
