"""`meshagent connect expose`: let a service be reached through an ingress gateway.

Source: surface row CL21; developer.hashicorp.com/consul/commands/connect/expose. It adds the service to the gateway's
config entry, a compare-and-set, and an intention that lets the gateway talk to it. What may change here: nothing that a
script parses.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.output import fail, say

__all__ = ["expose"]


@api_command("expose", short_help="Let a service be reached through an ingress gateway")
@text("service", "The service")
@text("ingress-gateway", "The gateway's service")
@text("port", "The port of the gateway's listener", default=0, kind=int)
@text("protocol", "tcp, http, http2 or grpc", default="tcp")
@text("host", "A host name of the service on this listener; may be given several times", multiple=True)
def expose(
    client: Client,
    args: tuple[str, ...],
    service: str,
    ingress_gateway: str,
    port: int,
    protocol: str,
    host: tuple[str, ...],
) -> None:
    """Add a service to a listener of an ingress gateway, and allow the gateway to talk to it."""
    expect(args, 0, 0)
    if not service:
        raise fail("A service name must be given via the -service flag.")
    if not ingress_gateway:
        raise fail("An ingress gateway service must be given via the -ingress-gateway flag.")
    if not 0 < port < 65536:
        raise fail("A port must be provided via the -port flag.")
    entry, index = _entry(client, ingress_gateway)
    _add(entry, service, port, protocol.lower(), host)
    try:
        written = client.put("config", {"cas": str(index)}, value=entry).json()
    except ApiError as error:
        raise fail(f"Error writing ingress config entry: {error}") from None
    if not written:
        raise fail("Ingress config entry was changed meanwhile: try again")
    say(f'Successfully updated config entry for ingress service "{ingress_gateway}"')
    _allow(client, ingress_gateway, service)


def _entry(client: Client, gateway: str) -> tuple[dict[str, Any], int]:
    """The gateway's entry without what servers add, and its index; 0 for one that is to be made."""
    try:
        answer = client.request("GET", f"config/ingress-gateway/{gateway}", accept=(200, 404))
    except ApiError as error:
        raise fail(f"Error fetching existing ingress configuration: {error}") from None
    if answer.status == 404:
        return {"Kind": "ingress-gateway", "Name": gateway, "Listeners": []}, 0
    held = answer.json()
    return {key: value for key, value in held.items() if key not in ("CreateIndex", "ModifyIndex", "Hash")}, held[
        "ModifyIndex"
    ]


def _add(entry: dict[str, Any], service: str, port: int, protocol: str, hosts: tuple[str, ...]) -> None:
    listeners: list[dict[str, Any]] = entry["Listeners"] or []
    entry["Listeners"] = listeners
    listener = next((one for one in listeners if one["Port"] == port), None)
    if listener is None:
        listener = {"Port": port, "Protocol": protocol, "Services": []}
        listeners.append(listener)
    elif (listener.get("Protocol") or "tcp") != protocol:
        raise fail(f'Listener on port {port} already configured with conflicting protocol "{listener["Protocol"]}"')
    row = next((one for one in listener["Services"] if one["Name"] == service), None)
    if row is None:
        row = {"Name": service}
        listener["Services"].append(row)
    kept = list(row.get("Hosts") or ())
    kept += [name for name in hosts if name not in kept]
    if kept:
        row["Hosts"] = kept


def _allow(client: Client, gateway: str, service: str) -> None:
    query = {"source": gateway, "destination": service}
    try:
        held = client.request("GET", "connect/intentions/exact", query, accept=(200, 404))
        if held.status == 200:
            say(f'Intention already exists for "{gateway}" -> "{service}"')
            return
        client.put("connect/intentions/exact", query, value={"Action": "allow"})
    except ApiError as error:
        raise fail(f"Error setting up the intention: {error}") from None
    say(f'Successfully set up intention for "{gateway}" -> "{service}"')
