"""`meshagent catalog ...`.

Source: surface row CL5; developer.hashicorp.com/consul/commands/catalog. What may change here: nothing that a script
parses; `-format=json` is ours.
"""

from __future__ import annotations

from typing import Any

import click

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, pairs, switch, text
from meshagent.agent.cli.output import on_terminal, say, show_json, show_table, tabbed

__all__ = ["datacenters", "nodes", "services"]


@api_command("datacenters", short_help="List the datacenters")
def datacenters(client: Client, args: tuple[str, ...]) -> None:
    """List the known datacenters, the nearest first."""
    expect(args, 0, 0)
    for name in client.get("catalog/datacenters"):
        say(name)


@api_command("nodes", short_help="List the nodes")
@switch("detailed", "Show tagged addresses and metadata too")
@text("service", "Only nodes that run this service")
@text("filter", "Filter expression")
@text("near", "Sort by round-trip time from this node; _agent is the agent's own")
@text("node-meta", "Only nodes with this metadata, key=value; may be given several times", multiple=True)
@text("format", "Output: pretty or json", default="pretty")
def nodes(
    client: Client,
    args: tuple[str, ...],
    detailed: bool,
    service: str,
    filter: str,
    near: str,
    node_meta: tuple[str, ...],
    format: str,
) -> None:
    """List the nodes of the catalog."""
    expect(args, 0, 0)
    query = [("node-meta", f"{key}:{value}") for key, value in pairs(node_meta, "node-meta").items()]
    query += [(name, value) for name, value in (("near", near), ("filter", filter)) if value]
    rows = client.get(f"catalog/service/{service}" if service else "catalog/nodes", query)
    if format == "json":
        show_json(rows)
        return
    if not rows:
        raise _Nothing("No nodes match the given query - try expanding your search.")
    heading = ["Node", "ID", "Address", "DC"]
    if detailed:
        heading += ["TaggedAddresses", "Meta"]
    table = [heading]
    for row in rows if near else sorted(rows, key=lambda row: row["Node"]):
        line = [row["Node"], row["ID"] if detailed else row["ID"][:8], row["Address"], row["Datacenter"]]
        if detailed:
            meta = row.get("NodeMeta") if service else row.get("Meta")
            line += [_joined(row.get("TaggedAddresses")), _joined(meta)]
        table.append(line)
    show_table(_unique(table))


@api_command("services", short_help="List the services")
@text("node", "Only services on this node, by name or id")
@text("node-meta", "Only services on nodes with this metadata, key=value", multiple=True)
@switch("tags", "Show each service's tags")
@text("format", "Output: pretty or json", default="pretty")
def services(
    client: Client, args: tuple[str, ...], node: str, node_meta: tuple[str, ...], tags: bool, format: str
) -> None:
    """List the services of the catalog by name."""
    expect(args, 0, 0)
    found: dict[str, list[str]] = {}
    if node:
        answer = client.get(f"catalog/node/{node}")
        for row in ((answer or {}).get("Services") or {}).values():
            found.setdefault(row["Service"], []).extend(row["Tags"] or [])
    else:
        query = [("node-meta", f"{key}:{value}") for key, value in pairs(node_meta, "node-meta").items()]
        found = client.get("catalog/services", query)
    if format == "json":
        show_json(found)
        return
    if not found:
        raise _Nothing("No services match the given query - try expanding your search.")
    if not tags:
        for name in sorted(found):
            say(name)
        return
    lines = [[name, ",".join(sorted(set(found[name])))] for name in sorted(found)]
    if on_terminal():
        show_table([["Service", "Tags"], *lines])
    else:
        say("\n".join(line.rstrip() for line in tabbed(lines).split("\n")))


class _Nothing(click.ClickException):
    """Nothing was found: said on standard error, but no failure."""

    exit_code = 0


def _joined(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted((values or {}).items()))


def _unique(rows: list[list[str]]) -> list[list[str]]:
    """Without repeated lines: a node with two instances of a service is one node."""
    return list(map(list, dict.fromkeys(map(tuple, rows))))
