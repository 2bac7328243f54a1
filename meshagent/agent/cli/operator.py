"""`meshagent operator raft list-peers|remove-peer|transfer-leader`.

Source: surface row CL12; developer.hashicorp.com/consul/commands/operator/raft. What may change here: nothing that a
script parses.
"""

from __future__ import annotations

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.output import fail, say, show_json, show_table
from meshagent.errors import MeshError

__all__ = ["list_peers", "remove_peer", "transfer_leader"]


@api_command("list-peers", short_help="List the servers of the Raft cluster")
@text("format", "Output: pretty or json", default="pretty")
def list_peers(client: Client, args: tuple[str, ...], format: str) -> None:
    """List the servers of the Raft cluster, and how far each one's log is."""
    expect(args, 0, 0)
    answer = client.get("operator/raft/configuration")
    servers = answer["Servers"]
    if format == "json":
        show_json(answer)
        return
    leader_index = next((s.get("LastIndex", 0) for s in servers if s["Leader"]), 0)
    table = [
        ["Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By"],
    ]
    for server in servers:
        index = server.get("LastIndex", 0)
        behind = leader_index - index
        table.append(
            [
                server["Node"],
                server["ID"],
                server["Address"],
                "leader" if server["Leader"] else "follower",
                "true" if server["Voter"] else "false",
                server.get("ProtocolVersion") or "<=1",
                str(index),
                "-" if server["Leader"] else f"{behind} {'commit' if behind == 1 else 'commits'}",
            ]
        )
    show_table(table)


@api_command("remove-peer", short_help="Remove a server from the Raft cluster")
@text("address", "host:port of the server to remove")
@text("id", "Its node id")
def remove_peer(client: Client, args: tuple[str, ...], address: str, id: str) -> None:
    """Remove a server that is gone for good and did not leave. One that still runs comes back."""
    expect(args, 0, 0)
    if address and id:
        raise fail("Error removing peer: cannot give both an address and id")
    if not address and not id:
        raise fail("Error removing peer: an address or id is required for the peer to remove")
    named = ("address", address) if address else ("id", id)
    try:
        client.request("DELETE", "operator/raft/peer", dict([named]))
    except MeshError as error:
        raise fail(f"Error removing peer: {error}") from None
    say(f'Removed peer with {named[0]} "{named[1]}"')


@api_command("transfer-leader", short_help="Hand leadership to another server")
@text("id", "Node id of the server to lead; without it the one that has most of the log")
def transfer_leader(client: Client, args: tuple[str, ...], id: str) -> None:
    """Have another server lead."""
    expect(args, 0, 0)
    try:
        client.request("POST", "operator/raft/transfer-leader", {"id": id} if id else {})
    except MeshError as error:
        raise fail(f"Error transfering leadership: {error}") from None
    say("Success")
