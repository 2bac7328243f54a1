"""`meshagent rtt`.

Source: surface row CL24; developer.hashicorp.com/consul/commands/rtt. What may change here: nothing that a script
parses.
"""

from __future__ import annotations

import math
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, switch
from meshagent.agent.cli.output import fail, say
from meshagent.catalog.coordinates import distance_s
from meshagent.catalog.model import Coordinate
from meshagent.errors import MeshError

__all__ = ["rtt"]


@api_command("rtt", "NODE1 [NODE2]", "Estimate the round-trip time between two nodes")
@switch("wan", "Servers of the wide-area pool, as node.datacenter")
def rtt(client: Client, args: tuple[str, ...], wan: bool) -> None:
    """Estimate the round-trip time between two nodes from their network coordinates; NODE2 is the agent's own node
    unless given."""
    if not 1 <= len(args) <= 2:
        raise fail("One or two node names must be specified")
    try:
        if wan:
            found = _wan(client, args)
        else:
            names = args if len(args) == 2 else (args[0], client.get("agent/self")["Config"]["NodeName"])
            rows = client.get("coordinate/nodes")
            found = [(name, {row["Segment"]: row["Coord"] for row in rows if row["Node"] == name}) for name in names]
    except MeshError as error:
        raise fail(f"Error getting coordinates: {error}") from None
    for name, coordinates in found:
        if not coordinates:
            raise fail(f'Could not find a coordinate for node "{name}"')
    (first, ones), (second, others) = found
    distances = [distance_s(_read(ones[segment]), _read(others[segment])) for segment in ones.keys() & others.keys()]
    if not distances or not math.isfinite(min(distances)):
        raise fail("Could not find a compatible coordinate for both nodes")
    milliseconds = math.trunc(min(distances) * 1e9) / 1e6
    say(f"Estimated {first} <-> {second} rtt: {milliseconds:.3f} ms (using {'WAN' if wan else 'LAN'} coordinates)")


def _wan(client: Client, args: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    names = list(args)
    if len(names) == 1:
        config = client.get("agent/self")["Config"]
        names.append(f"{config['NodeName']}.{config['Datacenter']}")
    for name in names:
        if "." not in name:
            raise fail("Node names must be specified as <node name>.<datacenter> with -wan")
    places = {
        f"{row['Node']}.{area['Datacenter']}": row["Coord"]
        for area in client.get("coordinate/datacenters")
        for row in area["Coordinates"]
    }
    return [(name, {"": places[name]} if name in places else {}) for name in names]


def _read(coord: dict[str, Any]) -> Coordinate:
    return Coordinate(
        vec=tuple(coord["Vec"]), error=coord["Error"], adjustment=coord["Adjustment"], height=coord["Height"]
    )
