"""Snapshots to be rendered: the smallest that a sidecar may have, and chains without entries."""

from __future__ import annotations

from typing import Any

from meshagent.catalog import commands
from meshagent.catalog.entries.table import parse
from meshagent.catalog.store import Store
from meshagent.connect.chain import Chain, compile_chain
from meshagent.connect.snapshot import Inbound, ProxySnapshot


def snapshot_of() -> ProxySnapshot:
    """The sidecar of `web` without upstreams."""
    return ProxySnapshot(
        "web-proxy", "web", "dc1", "td", True, "", roots=("root",), leaf_chain="leaf", leaf_key="key",
        inbound=Inbound("127.0.0.1", 21000, "127.0.0.1", 8080),
    )  # fmt: skip


def chain_of(service: str, *raws: dict[str, Any]) -> Chain:
    """The chain of a service, from these entries."""
    store = Store()
    for raw in raws:
        store.apply(commands.encode(commands.ConfigEntrySet(parse(raw), None, "2024-01-01T00:00:00Z")))  # type: ignore[arg-type]
    return compile_chain(store.config.lookup(), service, "dc1", "td")
