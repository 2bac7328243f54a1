"""`meshagent operator usage instances`.

Source: surface row CL12; developer.hashicorp.com/consul/commands/operator/usage. What may change here: nothing that a
script parses.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch
from meshagent.agent.cli.output import aligned, fail, say

__all__ = ["instances"]

Usage = dict[str, Any]


@api_command("instances", short_help="Count nodes, services and instances")
@switch("all-datacenters", "Of all datacenters, not only the agent's")
@switch("billable", "Only what is billable upstream")
@switch("connect", "Only instances of the mesh")
def instances(client: Client, args: tuple[str, ...], all_datacenters: bool, billable: bool, connect: bool) -> None:
    """Count nodes, services, instances, and those of the mesh by kind."""
    expect(args, 0, 0)
    if billable and connect:
        raise fail("Cannot specify both -billable and -connect flags")
    usage: Usage = client.get("operator/usage", {"global": ""} if all_datacenters else {})["Usage"]
    blocks = []
    if not connect:
        blocks += [_billable_total(usage), _services(usage, all_datacenters), _nodes(usage)]
    if not billable:
        blocks.append(_mesh(usage, all_datacenters))
    say("\n\n".join(blocks))


def _billable_total(usage: Usage) -> str:
    total = sum(counts["BillableServiceInstances"] for counts in usage.values())
    lines = [f"Billable Service Instances Total: {total}"]
    lines += [f"{name} Billable Service Instances: {usage[name]['BillableServiceInstances']}" for name in sorted(usage)]
    return "\n".join(lines)


def _services(usage: Usage, by_datacenter: bool) -> str:
    counts = {name: (usage[name]["Services"], usage[name]["BillableServiceInstances"]) for name in sorted(usage)}
    services, found = (str(sum(column)) for column in zip(*counts.values(), strict=True))
    if not by_datacenter:
        return "Billable Services\n" + aligned([["Services", "Service instances"], [services, found]])
    rows = [[name, *map(str, count)] for name, count in counts.items()]
    heading = ["Datacenter", "Services", "Service instances"]
    return "Billable Services\n" + aligned([heading, *rows, [""], ["Total", services, found]])


def _nodes(usage: Usage) -> str:
    rows = [[name, str(usage[name]["Nodes"])] for name in sorted(usage)]
    total = ["Total", str(sum(counts["Nodes"] for counts in usage.values()))]
    return "Nodes\n" + aligned([["Datacenter", "Count"], *rows, [""], total])


def _mesh(usage: Usage, by_datacenter: bool) -> str:
    heading = ["Type", "Service instances"]
    rows = []
    total = 0
    for name in sorted(usage):
        for kind, count in sorted(usage[name]["ConnectServiceInstances"].items()):
            rows.append([*([name] if by_datacenter else []), kind, str(count)])
            total += count
    if by_datacenter:
        rows += [[""], ["Total", "", str(total)]]
        heading = ["Datacenter", *heading]
    return "Connect Services\n" + aligned([heading, *rows])
