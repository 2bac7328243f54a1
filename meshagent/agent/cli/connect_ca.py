"""`meshagent connect ca get-config|set-config`.

Source: surface row CL21; developer.hashicorp.com/consul/commands/connect/ca. What may change here: nothing that a
script parses.
"""

from __future__ import annotations

import json
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.kv import data_of
from meshagent.agent.cli.output import fail, say

__all__ = ["get_config", "set_config"]


@api_command("get-config", short_help="Show the configuration of the certificate authority")
def get_config(client: Client, args: tuple[str, ...]) -> None:
    """Show the configuration of the certificate authority, as set-config takes it."""
    expect(args, 0, 0)
    say(json.dumps(client.get("connect/ca/configuration"), indent="\t", ensure_ascii=False))


@api_command("set-config", short_help="Change the configuration of the certificate authority")
@text("config-file", "File with the configuration (JSON); - for standard input")
@switch("force-without-cross-signing", "Rotate the root without having the old one sign the new one")
def set_config(client: Client, args: tuple[str, ...], config_file: str, force_without_cross_signing: bool) -> None:
    """Change the configuration of the certificate authority; the root is rotated if that needs it."""
    expect(args, 0, 0)
    if not config_file:
        raise fail("The -config-file flag is required")
    raw = data_of(config_file if config_file == "-" else f"@{config_file}")
    try:
        config: Any = json.loads(raw)
    except ValueError as error:
        raise fail(f"Error parsing {config_file}: {error}") from None
    if not isinstance(config, dict):
        raise fail(f"{config_file} does not hold an object")
    if force_without_cross_signing:
        config["ForceWithoutCrossSigning"] = True
    client.put("connect/ca/configuration", value=config)
    say("Configuration updated!")
