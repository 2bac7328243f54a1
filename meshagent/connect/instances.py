"""Instances of a service as endpoints of a target: which may be dialled, and how. Pure.

Source: surface rows M24, M44 (weights, checks); developer.hashicorp.com/consul/docs/connect/config-entries/
service-resolver. What may change here: further facts of an instance, as fields of `Endpoint`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from meshagent.catalog.entries.service_resolver import Subset
from meshagent.catalog.model import Locality, Service, ServiceEntry
from meshagent.connect.chain import Target
from meshagent.connect.snapshot import Endpoint
from meshagent.connect.transparent import MODE
from meshagent.errors import MeshError

__all__ = ["at_wan", "sorted_out", "through_gateways"]


def sorted_out(rows: Iterable[ServiceEntry], target: Target) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    """(the instances of a target that may be dialled: its subset, and no critical ones; those that may not)."""
    subset = target.instances
    matches: Callable[[Any], Any] | None = None
    if subset.filter:
        from meshagent.catalog.filters import compile_filter  # with re2: only where a filter is used

        try:
            matches = compile_filter(subset.filter, "service_entry")
        except MeshError:
            return (), ()
    allowed = {"passing"} if subset.only_passing else {"passing", "warning"}
    good: list[Endpoint] = []
    bad: list[Endpoint] = []
    for entry in rows:
        service = entry.service
        # A gateway speaks for every subset: the server name says which.
        if matches is not None and service.kind != "terminating-gateway" and not matches(entry):
            continue
        statuses = {check.status for check in entry.checks}
        warning = "warning" in statuses
        weight = service.weights.warning if warning else service.weights.passing
        place = service.locality or entry.node.locality or Locality()
        found = Endpoint(
            service.id, entry.node.name, service.address or entry.node.address, service.port,
            "warning" if warning else "passing", min(max(weight, 1), 65535),
            place.region, place.zone, _direct_port(service, target),
        )  # fmt: skip
        if weight > 0 and statuses <= allowed:
            good.append(found)
        else:
            bad.append(msgspec.structs.replace(found, status="critical"))
    return tuple(sorted(good, key=_at)), tuple(sorted(bad, key=_at))


def through_gateways(
    rows: Iterable[ServiceEntry], target: Target, *, remote: bool
) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    """The same for mesh gateways that lead to a target: `remote` ones are dialled at their WAN address."""
    everyone = msgspec.structs.replace(target, instances=Subset())
    return sorted_out([at_wan(row) for row in rows] if remote else rows, everyone)


def at_wan(row: ServiceEntry) -> ServiceEntry:
    """A gateway at its WAN address, else at its node's."""
    service = row.service
    tagged = (service.tagged_addresses or {}).get("wan")
    if tagged is not None and tagged.address:
        place = (tagged.address, tagged.port or service.port)
    else:
        place = (service.address or (row.node.tagged_addresses or {}).get("wan", "") or row.node.address, service.port)
    return msgspec.structs.replace(row, service=msgspec.structs.replace(service, address=place[0], port=place[1]))


def _at(one: Endpoint) -> tuple[str, str]:
    return one.node, one.id


def _direct_port(service: Service, target: Target) -> int:
    """The application's own port where it may be dialled: its registration says so, or what entries say of it."""
    proxy = service.proxy
    block = proxy.transparent_proxy or target.transparent_proxy
    directly = block.dialed_directly and proxy.mode in {"", MODE}
    return proxy.local_service_port if directly else 0
