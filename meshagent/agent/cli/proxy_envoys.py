"""`meshagent proxy envoys`: the Envoys that the agent serves, and what they did not accept.

Ours. What may change here: the look for people; `-json` is what the endpoint says.
"""

from __future__ import annotations

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, switch
from meshagent.agent.cli.output import fail, say, show_json, show_table

__all__ = ["envoys"]


@api_command("envoys", "", "List the Envoys that the agent serves over xDS")
@switch("json", "Print it as JSON")
def envoys(client: Client, args: tuple[str, ...], json: bool) -> None:
    """List the Envoys that the agent serves over xDS, and what they did not accept, in their own words."""
    expect(args, 0, 0)
    try:
        found = client.get("agent/connect/envoys")
    except ApiError as error:
        raise fail(f"Error: {error}") from None
    if json:
        show_json(found)
        return
    if not found:
        say("No Envoy is connected.")
        return
    rows = [["Proxy", "From", "Envoy", "Since", "State"]]
    for one in found:
        bad = len(one["Rejected"]) + len(one["Unsendable"])
        state = f"{bad} refused" if bad else "in sync" if one["Authorized"] else "waits for its registration"
        rows.append([one["ProxyID"], one["Remote"] or "a Unix socket", one["EnvoyVersion"], one["Since"], state])
    show_table(rows)
    for one in found:
        for what, problem in (one["Rejected"] | one["Unsendable"]).items():
            say()
            say(f"{one['ProxyID']} goes on without this {what}: {problem}")
