"""Exports: which services peers (and partitions) may see, by the entry `exported-services`, wildcards spread out.

Source: surface rows ES1, M30; developer.hashicorp.com/consul/docs/connect/config-entries/exported-services. Pure. What
may change here: further kinds of consumers.
"""

from __future__ import annotations

from meshagent.catalog.entries.exported_services import ExportedServices
from meshagent.catalog.queries import Result
from meshagent.catalog.store import Store

__all__ = ["exported_services", "exported_to"]


def exported_services(store: Store) -> Result[list[dict[str, object]]]:
    """What is exported to whom, by service; a wildcard stands for every registered service."""
    entry = store.config.get("exported-services", "default")
    consumers: dict[str, dict[str, set[str]]] = {}
    names = sorted({row.name for row in store.registrations.services.values() if not row.kind} - {"consul"})
    exports = entry.services if isinstance(entry, ExportedServices) else ()
    consumed = {service.name for service in exports}
    for service in exports:
        for name in names if service.name == "*" else [service.name]:
            held = consumers.setdefault(name, {})
            for consumer in service.consumers:
                if consumer.peer:
                    held.setdefault("Peers", set()).add(consumer.peer)
                elif consumer.partition:
                    held.setdefault("Partitions", set()).add(consumer.partition)
    rows: list[dict[str, object]] = [
        {"Service": name, "Consumers": {kind: sorted(found) for kind, found in consumers[name].items()}}
        for name in sorted(consumers)
    ]
    if "*" in consumed:
        index = max(store.config.index, store.registrations.index("services"))
        return Result(rows, index or 1, (("config-kind", "exported-services"), "services"))
    return Result(rows, store.config.index or 1, (("config-kind", "exported-services"),))


def exported_to(store: Store, peer: str) -> Result[list[str]]:
    """The names that a peer may see, in order."""
    found = exported_services(store)
    rows = [str(row["Service"]) for row in found.rows if peer in _peers(row)]
    return Result(rows, found.index if rows else 1, found.topics)


def _peers(row: dict[str, object]) -> list[str]:
    consumers = row["Consumers"]
    return consumers.get("Peers", []) if isinstance(consumers, dict) else []
