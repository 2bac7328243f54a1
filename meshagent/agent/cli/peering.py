"""`meshagent peering generate-token|establish|list|read|delete|exported-services`.

Source: surface row CL23; developer.hashicorp.com/consul/commands/peering. What may change here: nothing that a script
parses.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from meshagent.agent.cli.client import Answer, Client
from meshagent.agent.cli.flags import api_command, expect, pairs, text
from meshagent.agent.cli.output import fail, say, show_json, show_table

__all__ = ["delete", "establish", "exported_services", "generate_token", "list_peerings", "read"]

_NAME = text("name", "The local name of the peer")
_FORMAT = text("format", "pretty or json", default="pretty")
_META = text("meta", "key=value to keep with it; may be given again", multiple=True)


def _json(format: str) -> bool:
    if format not in {"pretty", "json"}:
        raise fail("Invalid format, valid formats are {pretty|json}")
    return format == "json"


def _needed(args: tuple[str, ...], value: str, flag: str = "name") -> str:
    expect(args, 0, 0)
    if not value:
        raise fail(f"Missing the required -{flag} flag")
    return value


def _post(client: Client, path: str, body: dict[str, Any]) -> Answer:
    return client.request("POST", path, body=json.dumps(body).encode())


@api_command("generate-token", short_help="Make a token for another cluster")
@_NAME
@_META
@text("server-external-addresses", "host:port,.. at which the peer reaches the servers, in place of their own")
@_FORMAT
def generate_token(
    client: Client,
    args: tuple[str, ...],
    name: str,
    meta: tuple[str, ...],
    server_external_addresses: str,
    format: str,
) -> None:
    """Make a token and print it. It is a secret: who has it can peer with this cluster, once."""
    body: dict[str, Any] = {"PeerName": _needed(args, name)}
    as_json = _json(format)
    if meta:
        body["Meta"] = dict(pairs(meta, "meta"))
    if server_external_addresses:
        body["ServerExternalAddresses"] = [part.strip() for part in server_external_addresses.split(",")]
    found = _post(client, "peering/token", body).json()
    if as_json:
        show_json(found)
    else:
        say(found["PeeringToken"])


@api_command("establish", short_help="Peer with the cluster that made a token")
@_NAME
@text("peering-token", "The token that the other cluster made")
@_META
def establish(client: Client, args: tuple[str, ...], name: str, peering_token: str, meta: tuple[str, ...]) -> None:
    """Peer with the cluster that made a token; its servers must be reachable."""
    body: dict[str, Any] = {
        "PeerName": _needed(args, name),
        "PeeringToken": _needed(args, peering_token, "peering-token"),
    }
    if meta:
        body["Meta"] = dict(pairs(meta, "meta"))
    _post(client, "peering/establish", body)
    say(f"Successfully established peering connection with {name}")


@api_command("list", short_help="List the peerings")
@_FORMAT
def list_peerings(client: Client, args: tuple[str, ...], format: str) -> None:
    """List the peerings with their states and counts."""
    expect(args, 0, 0)
    as_json = _json(format)
    rows = sorted(client.get("peerings"), key=lambda row: str(row["Name"]))
    if as_json:
        show_json(rows)
        return
    if not rows:
        say("There are no peering connections.")
        return
    shown = [["Name", "State", "Imported Svcs", "Exported Svcs", "Meta"]]
    for row in rows:
        meta = ",".join(f"{key}={value}" for key, value in sorted((row.get("Meta") or {}).items()))
        shown.append([row["Name"], row["State"], *map(str, _counts(row)), meta])
    show_table(shown)


def _counts(row: dict[str, Any]) -> tuple[int, int]:
    status = row["StreamStatus"]
    return len(status["ImportedServices"] or ()), len(status["ExportedServices"] or ())


def _found(client: Client, name: str) -> dict[str, Any]:
    answer = client.request("GET", f"peering/{quote(name, safe='')}", accept=(200, 404))
    if answer.status == 404:
        raise fail(f"No peering with name {name} found.")
    row: dict[str, Any] = answer.json()
    return row


@api_command("read", short_help="Show a peering")
@_NAME
@_FORMAT
def read(client: Client, args: tuple[str, ...], name: str, format: str) -> None:
    """Show a peering: state, addresses, counts."""
    _needed(args, name)
    as_json = _json(format)
    row = _found(client, name)
    if as_json:
        show_json(row)
        return
    imported, exported = _counts(row)
    lines = [f"Name:         {row['Name']}", f"ID:           {row['ID']}", f"State:        {row['State']}"]
    if row.get("Meta"):
        lines += ["Meta:", *(f"    {key}={value}" for key, value in sorted(row["Meta"].items()))]
    lines += [
        "",
        f"Peer ID:               {row.get('PeerID', '')}",
        f"Peer Server Name:      {row.get('PeerServerName', '')}",
        f"Peer CA Pems:          {len(row.get('PeerCAPems') or ())}",
    ]
    if row.get("PeerServerAddresses"):
        lines += ["Peer Server Addresses:", *(f"    {address}" for address in row["PeerServerAddresses"])]
    lines += ["", f"Imported Services: {imported}", f"Exported Services: {exported}"]
    lines += ["", f"Create Index: {row['CreateIndex']}", f"Modify Index: {row['ModifyIndex']}"]
    say("\n".join(lines))


@api_command("delete", short_help="Delete a peering")
@_NAME
def delete(client: Client, args: tuple[str, ...], name: str) -> None:
    """Delete a peering: what was imported from it goes, and the other side is told."""
    _needed(args, name)
    client.request("DELETE", f"peering/{quote(name, safe='')}")
    say(f"Successfully submitted peering connection, {name}, for deletion")


@api_command("exported-services", short_help="List what is exported to a peer")
@_NAME
@_FORMAT
def exported_services(client: Client, args: tuple[str, ...], name: str, format: str) -> None:
    """List the services that a peer may see."""
    _needed(args, name)
    as_json = _json(format)
    _found(client, name)
    found = client.get("exported-services")
    names = [row["Service"] for row in found if name in (row["Consumers"].get("Peers") or ())]
    if as_json:
        show_json(names)
    elif not names:
        say(f"There are no services exported to {name}.")
    else:
        say("\n".join(names))
