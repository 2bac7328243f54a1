"""`meshagent members|join|leave|force-leave`.

Source: surface rows CL2, CL3; developer.hashicorp.com/consul/commands/members. What may change here: nothing that a
script parses; `-format=json` is ours.
"""

from __future__ import annotations

import re
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say, show_json, show_table
from meshagent.errors import MeshError

__all__ = ["force_leave", "join", "leave", "members"]

#: serf's member states by number.
_STATUSES = {0: "none", 1: "alive", 2: "leaving", 3: "left", 4: "failed"}


@api_command("members", short_help="List the members of the cluster")
@switch("detailed", "Show all tags")
@switch("wan", "Members of the servers' wide-area pool")
@text("status", "Only members whose status matches this expression", default=".*")
@text("segment", "Only members of this segment")
@text("filter", "Filter expression")
@text("format", "Output: pretty or json", default="pretty")
def members(
    client: Client,
    args: tuple[str, ...],
    detailed: bool,
    wan: bool,
    status: str,
    segment: str,
    filter: str,
    format: str,
) -> int:
    """List the members that the agent knows through gossip."""
    expect(args, 0, 0)
    try:
        wanted = re.compile(status)
    except re.error as error:
        raise fail(f"Failed to compile status regexp: {error}") from None
    query = [(name, value) for name, value in (("segment", segment), ("filter", filter)) if value]
    if wan:
        query.append(("wan", "1"))
    rows = client.get("agent/members", query)
    rows = [row for row in rows if wanted.search(_STATUSES.get(row["Status"], ""))]
    rows.sort(key=lambda row: (row["Name"], row["Tags"].get("segment", "")))
    if format == "json":
        show_json(rows)
    elif rows:
        show_table(_detailed(rows) if detailed else _plain(rows))
    return 0 if rows else 2


def _address(row: dict[str, Any]) -> str:
    host = row["Addr"]
    return f"[{host}]:{row['Port']}" if ":" in host else f"{host}:{row['Port']}"


def _plain(rows: list[dict[str, Any]]) -> list[list[str]]:
    table = [["Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment"]]
    for row in rows:
        tags = row["Tags"]
        server = tags.get("role") == "consul"
        table.append(
            [
                row["Name"],
                _address(row),
                _STATUSES.get(row["Status"], "unknown"),
                "server" if server else "client" if tags.get("role") == "node" else "unknown",
                tags.get("build", "").partition(":")[0] or "-",
                tags.get("vsn", "-"),
                tags.get("dc", "-"),
                tags.get("ap") or "default",
                "<all>" if server else tags.get("segment") or "<default>",
            ]
        )
    return table


def _detailed(rows: list[dict[str, Any]]) -> list[list[str]]:
    table = [["Node", "Address", "Status", "Tags"]]
    for row in rows:
        tags = ",".join(f"{key}={value}" for key, value in sorted(row["Tags"].items()))
        table.append([row["Name"], _address(row), _STATUSES.get(row["Status"], "unknown"), tags])
    return table


@api_command("join", "ADDRESS...", "Have the agent join a cluster")
@switch("wan", "Join the servers' wide-area pool")
def join(client: Client, args: tuple[str, ...], wan: bool) -> int:
    """Have the agent join the cluster that the members at these addresses belong to."""
    if not args:
        raise fail("At least one address to join must be specified.")
    joined = 0
    for address in args:
        try:
            client.put(f"agent/join/{address}", {"wan": "1"} if wan else {})
            joined += 1
        except MeshError as error:
            say(f"Error joining address '{address}': {error}")
    if not joined:
        raise fail("Failed to join any nodes.")
    say(f"Successfully joined cluster by contacting {joined} nodes.")
    return 0


@api_command("leave", short_help="Have the agent leave and stop")
def leave(client: Client, args: tuple[str, ...]) -> None:
    """Have the agent leave the cluster gracefully and stop."""
    expect(args, 0, 0)
    client.put("agent/leave")
    say("Graceful leave complete")


@api_command("force-leave", "NODE", "Make a failed member count as left")
@switch("prune", "Forget the member at once")
@switch("wan", "In the servers' wide-area pool")
def force_leave(client: Client, args: tuple[str, ...], prune: bool, wan: bool) -> None:
    """Make a failed member count as left; one that lives will come back."""
    expect(args, 1, 1, "A single node name must be specified to force leave.")
    query = {name: "1" for name, on in (("prune", prune), ("wan", wan)) if on}
    try:
        client.put(f"agent/force-leave/{args[0]}", query)
    except MeshError as error:
        raise fail(f"Error force leaving: {error}") from None
