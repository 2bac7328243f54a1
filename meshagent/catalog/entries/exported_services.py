"""`exported-services`: which services which peers may see; its only name is `default`.

Source: surface row M30; developer.hashicorp.com/consul/docs/connect/config-entries/exported-services. What may change
here: fields are added with a default.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry, Part

__all__ = ["Consumer", "ExportedService", "ExportedServices"]


class Consumer(Part, frozen=True, kw_only=True):
    """Who sees it; partitions are Enterprise's: kept, without effect."""

    partition: str = ""
    peer: str = ""
    sameness_group: str = ""


class ExportedService(Part, frozen=True, kw_only=True):
    """A service, or `*` for all, and who sees it."""

    name: str = ""
    namespace: str = ""
    consumers: tuple[Consumer, ...] = ()


class ExportedServices(Entry, frozen=True, kw_only=True, tag="exported-services"):
    """All that is exported."""

    services: tuple[ExportedService, ...] = ()

    def problem(self) -> str:
        if self.name != "default":
            return 'exported-services Name must be "default"'
        for at, service in enumerate(self.services):
            if not service.name:
                return f"Services[{at}]: service name cannot be empty"
            if not service.consumers:
                return f"Services[{at}]: must have at least one consumer"
            for which, consumer in enumerate(service.consumers):
                where = f"Services[{at}].Consumers[{which}]"
                if consumer.peer and consumer.partition:
                    return f"{where}: must define at most one of Peer or Partition"
                if consumer.peer == "*":
                    return f"{where}: exporting to all peers (wildcard) is not supported"
                if consumer.partition == "*":
                    return f"{where}: exporting to all partitions (wildcard) is not supported"
        return ""

    def to_peers(self) -> dict[str, tuple[str, ...]]:
        """Service name (or `*`) -> the peers that see it, sorted."""
        peers: dict[str, set[str]] = {}
        for service in self.services:
            for consumer in service.consumers:
                if consumer.peer:
                    peers.setdefault(service.name, set()).add(consumer.peer)
        return {name: tuple(sorted(found)) for name, found in peers.items()}
