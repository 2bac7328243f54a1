"""`meshagent maint`.

Source: surface row CL9; developer.hashicorp.com/consul/commands/maint. What may change here: nothing that a script
parses.
"""

from __future__ import annotations

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say

__all__ = ["maint"]


@api_command("maint", short_help="Show or change maintenance mode")
@switch("enable", "Put the node or the service into maintenance")
@switch("disable", "End the maintenance")
@text("reason", "Why, for others to read")
@text("service", "The id of a service; without it the whole node")
def maint(client: Client, args: tuple[str, ...], enable: bool, disable: bool, reason: str, service: str) -> None:
    """Show what is in maintenance, or change it: what is, gets no traffic."""
    expect(args, 0, 0)
    if enable and disable:
        raise fail("Only one of -enable or -disable may be provided")
    if not enable and reason:
        raise fail("Reason may only be provided with -enable")
    if not enable and not disable:
        if service:
            raise fail("-service requires either -enable or -disable")
        _show(client)
        return
    word = "enabled" if enable else "disabled"
    query = {"enable": "true" if enable else "false"}
    if reason:
        query["reason"] = reason
    if service:
        client.put(f"agent/service/maintenance/{service}", query)
        say(f'Service maintenance is now {word} for "{service}"')
    else:
        client.put("agent/maintenance", query)
        say(f"Node maintenance is now {word}")


def _show(client: Client) -> None:
    node = client.get("agent/self")["Config"]["NodeName"]
    for check_id, check in sorted(client.get("agent/checks").items()):
        if check_id == "_node_maintenance":
            say(f"Node:\n  Name:   {node}\n  Reason: {check['Notes']}\n")
        elif check_id.startswith("_service_maintenance:"):
            say(f"Service:\n  ID:     {check['ServiceID']}\n  Reason: {check['Notes']}\n")
