"""`meshagent operator raft list-peers`.

Source: surface row CL12; developer.hashicorp.com/consul/commands/operator/raft. What may change here: nothing that a
script parses.
"""

from __future__ import annotations

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.output import show_json, show_table

__all__ = ["list_peers"]


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
