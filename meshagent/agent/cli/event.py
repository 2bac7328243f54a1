"""`meshagent event`.

Source: surface row CL9; developer.hashicorp.com/consul/commands/event. What may change here: nothing that a script
parses.
"""

from __future__ import annotations

from urllib.parse import quote

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, text
from meshagent.agent.cli.output import fail, say
from meshagent.errors import MeshError

__all__ = ["event"]


@api_command("event", "[PAYLOAD]", "Fire a user event")
@text("name", "Name of the event")
@text("node", "Only nodes whose name matches this expression")
@text("service", "Only nodes with a service whose name matches this expression")
@text("tag", "Only services with a tag that matches this expression; needs -service")
def event(client: Client, args: tuple[str, ...], name: str, node: str, service: str, tag: str) -> None:
    """Fire a user event, which every agent of the datacenter hears. The payload is small: a hundred bytes or two."""
    if not name:
        raise fail("Event name must be specified")
    if len(args) > 1:
        raise fail("Too many command line arguments provided")
    if tag and not service:
        raise fail("Cannot provide tag filter without service filter.")
    query = {key: value for key, value in (("node", node), ("service", service), ("tag", tag)) if value}
    try:
        fired = client.put(f"event/fire/{quote(name, safe='')}", query, body=args[0].encode() if args else b"")
    except MeshError as error:
        raise fail(f"Error firing event: {error}") from None
    say(f"Event ID: {fired.json()['ID']}")
