from __future__ import annotations

from meshagent.catalog.commands import ConfigEntrySet, Register
from meshagent.catalog.entries.table import parse
from meshagent.catalog.exports import exported_services, exported_to
from meshagent.catalog.model import Node, Service
from meshagent.catalog.store import Store


def store_with(*services: dict[str, object]) -> Store:
    store = Store()
    for name, kind in (("web", ""), ("db", ""), ("web-sidecar-proxy", "connect-proxy"), ("consul", "")):
        store.execute(Register(Node(name="n", address="10.0.0.1"), Service(id=name, name=name, kind=kind)))
    entry = parse({"Kind": "exported-services", "Name": "default", "Services": list(services)})
    store.execute(ConfigEntrySet(entry))  # type: ignore[arg-type]
    return store


def test_nothing_is_exported_unless_it_is_said() -> None:
    assert exported_services(Store()).rows == []
    assert exported_to(Store(), "east").rows == []


def test_each_peer_sees_what_names_it() -> None:
    store = store_with(
        {"Name": "web", "Consumers": [{"Peer": "east"}, {"Peer": "west"}]},
        {"Name": "db", "Consumers": [{"Peer": "west"}]},
    )
    assert (exported_to(store, "east").rows, exported_to(store, "west").rows) == (["web"], ["db", "web"])
    assert exported_to(store, "north").rows == []


def test_a_wildcard_follows_what_is_registered() -> None:
    store = store_with({"Name": "*", "Consumers": [{"Peer": "east"}]})
    found = exported_to(store, "east")
    assert found.rows == ["db", "web"]  # neither sidecars nor the servers themselves
    woken: list[int] = []
    store.watches.subscribe(found.topics, lambda: woken.append(1))
    store.execute(Register(Node(name="n", address="10.0.0.1"), Service(id="api", name="api")))
    store.flush()
    assert woken == [1]
    assert exported_to(store, "east").rows == ["api", "db", "web"]
