"""A store with services of a mesh, and the snapshot of a gateway in front of them."""

from __future__ import annotations

from typing import Any

from meshagent.catalog import commands as c
from meshagent.catalog.ca import CAConfig, CARoot
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Check, Node, Proxy, Service, ServiceAddress, ServiceEntry
from meshagent.catalog.store import Store
from meshagent.connect.intentions import Default
from meshagent.connect.parts import SnapshotParts
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["World", "mesh_gateway"]

AT = "2024-01-01T00:00:00Z"


class World:
    """Each service has one healthy instance, behind a sidecar at 10.0.0.<n>:2000<n>."""

    def __init__(self, *http: str, **others: str) -> None:
        """Services that speak HTTP, and others by their protocol."""
        self.store = Store()
        self.changes = 0
        self.parts = SnapshotParts(self.store, "dc1", self._changed)
        self._count = 0
        root = CARoot("r", "n", 7, "ski", "td", AT, AT, "pem")
        self.run(c.CASet(CAConfig(), 0, AT, "td", root))
        for name in http:
            self.service(name, "http")
        for name, protocol in others.items():
            self.service(name, protocol)

    def _changed(self) -> None:
        self.changes += 1

    def run(self, command: c.Command) -> None:
        """Apply a command."""
        self.store.apply(c.encode(command))
        self.store.flush()

    def entry(self, **raw: Any) -> None:
        """Write a config entry."""
        self.run(c.ConfigEntrySet(parse(raw), None, AT))  # type: ignore[arg-type]

    def service(self, name: str, protocol: str) -> None:
        """One more service with an instance."""
        self._count += 1
        number = self._count
        if protocol != "tcp":
            self.entry(Kind="service-defaults", Name=name, Protocol=protocol)
        node = Node(name=f"n{number}", address=f"10.0.0.{number}")
        plain = Service(id=f"{name}-{number}", name=name, port=8000 + number)
        proxy = Service(
            kind="connect-proxy", id=f"{name}-proxy-{number}", name=f"{name}-proxy", port=20000 + number,
            proxy=Proxy(destination_service_name=name, destination_service_id=plain.id),
        )  # fmt: skip
        check = Check(node=node.name, check_id=f"c{number}", status="passing", service_id=proxy.id)
        self.run(c.Register(node, plain, ()))
        self.run(c.Register(node, proxy, (check,)))

    def outside(self, name: str, address: str, port: int, **fields: Any) -> None:
        """One more service without a sidecar."""
        node = Node(name=f"outside-{name}-{port}", address="10.9.0.1")
        self.run(c.Register(node, Service(id=f"{name}-{port}", name=name, address=address, port=port, **fields), ()))

    def ways(self, datacenter: str, *addresses: str) -> None:
        """The mesh gateways of another datacenter, at port 443 of their WAN addresses."""
        rows = tuple(mesh_gateway(f"{datacenter}-{at}", datacenter, wan) for at, wan in enumerate(addresses))
        self.run(c.FederationStateSet(datacenter, AT, rows))

    def build(self, kind: str, name: str, **fields: Any) -> ProxySnapshot:
        """The snapshot of a gateway that is registered under this name."""
        service = Service(**({"kind": kind, "id": name, "name": name, "address": "127.0.0.1"} | fields))
        return self.parts.build(service, Default(True))


def mesh_gateway(node: str, datacenter: str, wan: str, lan: str = "10.1.1.1", status: str = "passing") -> ServiceEntry:
    """One, with its check."""
    service = Service(
        kind="mesh-gateway", id="gw", name="gw", address=lan, port=8443,
        tagged_addresses={"wan": ServiceAddress(address=wan, port=443)},
    )  # fmt: skip
    check = Check(node=node, check_id="up", status=status, service_id="gw")
    return ServiceEntry(Node(name=node, address=lan, datacenter=datacenter), service, (check,))
