"""`meshagent info|reload|monitor|keygen`.

Source: surface rows CL4, CL11; developer.hashicorp.com/consul/commands. What may change here: nothing that a script
parses.
"""

from __future__ import annotations

import base64
import secrets

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, command, expect, switch, text
from meshagent.agent.cli.output import say, show_json

__all__ = ["info", "keygen", "monitor", "reload"]


@api_command("info", short_help="Show figures of the agent")
@text("format", "Output: pretty or json", default="pretty")
def info(client: Client, args: tuple[str, ...], format: str) -> None:
    """Show what the agent says about itself, by section."""
    expect(args, 0, 0)
    stats = client.get("agent/self").get("Stats") or {}
    if format == "json":
        show_json(stats)
        return
    for section in sorted(stats):
        say(f"{section}:")
        for key in sorted(stats[section]):
            say(f"\t{key} = {stats[section][key]}")


@api_command("reload", short_help="Have the agent read its configuration again")
def reload(client: Client, args: tuple[str, ...]) -> None:
    """Have the agent read its configuration again. A bad configuration changes nothing and is reported."""
    expect(args, 0, 0)
    client.put("agent/reload")
    say("Configuration reload triggered")


@api_command("monitor", short_help="Follow the agent's log")
@text("log-level", "Level: trace, debug, info, warn or error", default="INFO")
@switch("log-json", "Lines as JSON objects")
def monitor(client: Client, args: tuple[str, ...], log_level: str, log_json: bool) -> None:
    """Follow the log of the agent, at a level of one's own, until Ctrl-C."""
    expect(args, 0, 0)
    query = {"loglevel": log_level}
    if log_json:
        query["logjson"] = "true"
    try:
        for line in client.lines("agent/monitor", query):
            say(line)
    except KeyboardInterrupt:
        return
    say("\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed.")


@command("keygen", short_help="Make a key for gossip encryption")
def keygen(args: tuple[str, ...]) -> None:
    """Print a new key (32 random bytes in base64) for `encrypt` and the keyring."""
    expect(args, 0, 0)
    say(base64.b64encode(secrets.token_bytes(32)).decode())
