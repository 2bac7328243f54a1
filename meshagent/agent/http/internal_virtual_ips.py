"""`/v1/internal/service-virtual-ip`: the virtual addresses of a service that somebody else gives out.

Source: surface rows IN7, M5 (at most eight; words of a running Consul).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.acl.guards import needs
from meshagent.agent.decode import decode_body
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.catalog.commands import ManualIPsSet
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["MAX_ADDRESSES", "ROUTES"]

MAX_ADDRESSES = 8


class _Body(msgspec.Struct):
    go_name = "AssignServiceManualVIPsRequest"

    service: str = msgspec.field(default="", name="Service")
    addresses: tuple[str, ...] = msgspec.field(default=(), name="ManualVIPs")


async def _put(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    body = decode_body(_Body, request.body)
    if len(body.addresses) > MAX_ADDRESSES:
        raise InternalError(f"cannot associate more than {MAX_ADDRESSES} manual virtual IPs with the same service")
    for address in body.addresses:
        _check(address)
    losers = await agent.write(ManualIPsSet(body.service, tuple(dict.fromkeys(body.addresses))))
    unassigned = [{"ServiceName": {"Name": name}, "Peer": ""} for name in losers or ()]
    return json_response({"Found": losers is not None, "UnassignedFrom": unassigned or None})


def _check(address: str) -> None:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        try:
            shown = str(ipaddress.ip_address(address))
        except ValueError:
            shown = "<nil>"
        raise InternalError(f'"{shown}" is not a valid IPv4 address') from None


ROUTES = (
    Route(
        row="IN7", method="PUT", path="/v1/internal/service-virtual-ip", acl="mesh:write",
        guard=needs("mesh", "write"), handle=_put,
        summary="set the manual virtual addresses of a service",
        example="curl -X PUT -d '{\"Service\":\"web\",\"ManualVIPs\":[\"10.1.2.3\"]}' "
        "localhost:8500/v1/internal/service-virtual-ip",
    ),
)  # fmt: skip
