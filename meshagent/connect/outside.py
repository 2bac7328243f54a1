"""Services outside the mesh that a sidecar in transparent mode finds by their own addresses (`Destination`). Pure.

A terminating gateway reaches them. They are upstreams as others are, for who may talk to them: by address and port in
both proxies; by host name in an Envoy, which sees the name that is asked for in TLS.

Source: surface rows M21, M5; developer.hashicorp.com/consul/docs/connect/config-entries/service-defaults#destination.
What may change here: what else may mean one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.model import Upstream
from meshagent.catalog.watch import Topic
from meshagent.connect.intentions import Default, matching, may_reach
from meshagent.connect.snapshot import Outbound

if TYPE_CHECKING:
    from meshagent.connect.parts import SnapshotParts

__all__ = ["Outside", "marked", "missing", "outside"]

#: Addresses and host names with their ports, by service.
Outside = dict[str, tuple[tuple[str, int], ...]]


def outside(parts: SnapshotParts, source: str, default: Default) -> Outside:
    """Those that `source` may talk to."""

    def make() -> tuple[Outside, Iterable[Topic]]:
        entries = parts.watched()
        found: Outside = {}
        for one in entries.all(ServiceDefaults):
            there = one.destination
            if there is None or not there.port:
                continue
            rules = matching(lambda name: entries.get(ServiceIntentions, name), one.name)
            if may_reach(rules, source, one.name, default):
                found[one.name] = tuple((address, there.port) for address in there.addresses)
        return found, entries.topics

    return parts.part(("outside", source, str(default.allow)), make)


def missing(found: Outside, upstreams: Iterable[Upstream]) -> list[str]:
    """Those that are no upstreams yet."""
    listed = {one.destination_name for one in upstreams if not one.destination_peer}
    return [name for name in found if name not in listed]


def marked(outbound: tuple[Outbound, ...], found: Outside) -> tuple[Outbound, ...]:
    """Upstreams, those outside with what means them."""
    return tuple(
        msgspec.structs.replace(one, outside=found[one.name]) if one.name in found and not one.peer else one
        for one in outbound
    )
