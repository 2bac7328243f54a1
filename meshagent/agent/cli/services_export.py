"""`meshagent services export|exported-services`: who of the peers may see which service.

Source: surface rows CL8, ES1; developer.hashicorp.com/consul/commands/services/export. An export is a change of the
`exported-services` entry, a compare-and-set that is tried again when the entry was changed meanwhile. What may change
here: nothing that a script parses.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.output import columns, fail, say, show_json

__all__ = ["export", "exported_services"]

_KIND, _NAME = "exported-services", "default"
_TRIES = 8


@api_command("export", short_help="Export a service to peers")
@text("name", "The service")
@text("consumer-peers", "Peers that may see it, separated by commas")
@text("consumer-partitions", "Enterprise: partitions that may see it")
def export(client: Client, args: tuple[str, ...], name: str, consumer_peers: str, consumer_partitions: str) -> None:
    """Let peers see a service, beside those that do already."""
    expect(args, 0, 0)
    if not name:
        raise fail("Missing the required -name flag")
    if consumer_partitions:
        raise fail("-consumer-partitions is a Consul Enterprise feature")
    peers = list(dict.fromkeys(word.strip() for word in consumer_peers.split(",")))
    if not consumer_peers:
        raise fail("Missing the required -consumer-peers flag")
    if not all(peers):
        raise fail(f'invalid value "{consumer_peers}" for flag -consumer-peers: a name is empty')
    for _ in range(_TRIES):
        entry = _entry(client)
        index = entry.pop("ModifyIndex", 0)
        if not _add(entry, name, peers) or _written(client, entry, index):
            say(f'Successfully exported service "{name}" to cluster peers "{consumer_peers}"')
            return
    raise fail("Error exporting the service: the exported-services entry is being changed by others, try again")


def _entry(client: Client) -> dict[str, Any]:
    """What is exported now, without what servers add but its index."""
    try:
        answer = client.request("GET", f"config/{_KIND}/{_NAME}", accept=(200, 404))
    except ApiError as error:
        raise fail(f"Error reading config entry {_KIND}/{_NAME}: {error}") from None
    if answer.status == 404:
        return {"Kind": _KIND, "Name": _NAME, "Services": []}
    return {key: value for key, value in answer.json().items() if key not in ("CreateIndex", "Hash")}


def _add(entry: dict[str, Any], name: str, peers: list[str]) -> bool:
    """Whether there was anything to add."""
    services: list[dict[str, Any]] = entry["Services"] or []
    row = next((one for one in services if one["Name"] == name and not one.get("Namespace")), None)
    if row is None:
        row = {"Name": name, "Consumers": []}
        services.append(row)
    seen = {consumer.get("Peer") for consumer in row["Consumers"]}
    fresh = [{"Peer": peer} for peer in peers if peer not in seen]
    row["Consumers"] = [*row["Consumers"], *fresh]
    entry["Services"] = services
    return bool(fresh)


def _written(client: Client, entry: dict[str, Any], index: int) -> bool:
    try:
        return client.put("config", {"cas": str(index)}, value=entry).json() is True
    except ApiError as error:
        raise fail(f"Error writing config entry {_KIND}/{_NAME}: {error}") from None


@api_command("exported-services", short_help="List what is exported to whom")
@text("filter", "Only services that match this expression")
@text("format", "pretty or json", default="pretty")
def exported_services(client: Client, args: tuple[str, ...], filter: str, format: str) -> None:
    """List the services that are exported and the peers that see them; wildcards are spread out."""
    expect(args, 0, 0)
    if format not in ("pretty", "json"):
        raise fail(f"Invalid format, valid formats are {{pretty|json}}, got {format!r}")
    try:
        found = client.get("exported-services", {"filter": filter} if filter else ())
    except ApiError as error:
        raise fail(f"Error reading exported services: {error}") from None
    if format == "json":
        show_json(found)
    elif not found:
        say("No exported services found")
    else:
        rows = [("Service", "Consumer Peers")]
        rows += [(row["Service"], ", ".join(row["Consumers"].get("Peers") or ())) for row in found]
        say(columns(rows))
