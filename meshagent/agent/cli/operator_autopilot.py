"""`meshagent operator autopilot get-config|set-config|state|health`.

Source: surface row CL12; developer.hashicorp.com/consul/commands/operator/autopilot. `health` is ours. What may change
here: nothing that a script parses.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.output import fail, say, show_json, show_table

__all__ = ["get_config", "health", "set_config", "state"]

_CONFIG = "operator/autopilot/configuration"
_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}


@api_command("get-config", short_help="Show autopilot's configuration")
def get_config(client: Client, args: tuple[str, ...]) -> None:
    """Show how the leader cares for the servers."""
    expect(args, 0, 0)
    config = client.get(_CONFIG)
    for shown, value in (
        ("CleanupDeadServers", _bool(config["CleanupDeadServers"])),
        ("LastContactThreshold", config["LastContactThreshold"]),
        ("MaxTrailingLogs", config["MaxTrailingLogs"]),
        ("MinQuorum", config["MinQuorum"]),
        ("ServerStabilizationTime", config["ServerStabilizationTime"]),
        ("RedundancyZoneTag", f'"{config["RedundancyZoneTag"]}"'),
        ("DisableUpgradeMigration", _bool(config["DisableUpgradeMigration"])),
        ("UpgradeMigrationTag", f'"{config["UpgradeVersionTag"]}"'),
    ):
        say(f"{shown} = {value}")


def _bool(value: bool) -> str:
    return "true" if value else "false"


@api_command("set-config", short_help="Change autopilot's configuration")
@text("cleanup-dead-servers", "true or false: remove failed servers when enough others are healthy")
@text("last-contact-threshold", "A server silent for longer counts as unhealthy (200ms)")
@text("max-trailing-logs", "A server so many entries behind counts as unhealthy")
@text("min-quorum", "Never remove servers below this number")
@text("server-stabilization-time", "How long a new server must be healthy before it votes (10s)")
@text("redundancy-zone-tag", "Kept and shown; Enterprise only")
@text("disable-upgrade-migration", "Kept and shown; Enterprise only")
@text("upgrade-version-tag", "Kept and shown; Enterprise only")
def set_config(client: Client, args: tuple[str, ...], **given: str) -> None:
    """Change the given values; the others stay. Fails when somebody else changes them at the same time."""
    expect(args, 0, 0)
    config = client.get(_CONFIG)
    for flag, key, read in (
        ("cleanup-dead-servers", "CleanupDeadServers", _read_bool),
        ("last-contact-threshold", "LastContactThreshold", _read_text),
        ("max-trailing-logs", "MaxTrailingLogs", _read_number),
        ("min-quorum", "MinQuorum", _read_number),
        ("server-stabilization-time", "ServerStabilizationTime", _read_text),
        ("redundancy-zone-tag", "RedundancyZoneTag", _read_text),
        ("disable-upgrade-migration", "DisableUpgradeMigration", _read_bool),
        ("upgrade-version-tag", "UpgradeVersionTag", _read_text),
    ):
        value = given[flag.replace("-", "_")]
        if value:
            config[key] = read(flag, value)
    if not client.put(_CONFIG, {"cas": str(config["ModifyIndex"])}, value=config).json():
        raise fail("Configuration could not be atomically updated, please try again")
    say("Configuration updated!")


def _read_text(_: str, value: str) -> str:
    return value


def _read_bool(flag: str, value: str) -> bool:
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise fail(f'invalid value "{value}" for flag -{flag}: expected true or false')


def _read_number(flag: str, value: str) -> int:
    if value.isascii() and value.isdigit():
        return int(value)
    raise fail(f'invalid value "{value}" for flag -{flag}: expected a number that is not negative')


@api_command("state", short_help="Show what autopilot knows of the servers")
@text("format", "Output: pretty or json", default="pretty")
def state(client: Client, args: tuple[str, ...], format: str) -> None:
    """Show health, leader and voters, and each server in full."""
    expect(args, 0, 0)
    answer = client.get("operator/autopilot/state")
    if format == "json":
        show_json(answer)
        return
    for shown, value in (
        ("Healthy:", _bool(answer["Healthy"])),
        ("Failure Tolerance:", answer["FailureTolerance"]),
        ("Optimistic Failure Tolerance:", answer["OptimisticFailureTolerance"]),
        ("Leader:", answer["Leader"]),
    ):
        say(f"{shown:<30}{value}")
    say("Voters:")
    for voter in answer["Voters"] or ():
        say(f"   {voter}")
    say("Servers:")
    for id_, server in sorted(answer["Servers"].items()):
        _server(id_, server)


def _server(id_: str, server: dict[str, Any]) -> None:
    say(f"   {id_}")
    for shown, key in (
        ("Name:", "Name"),
        ("Address:", "Address"),
        ("Version:", "Version"),
        ("Status:", "Status"),
        ("Node Type:", "NodeType"),
        ("Node Status:", "NodeStatus"),
        ("Healthy:", "Healthy"),
        ("Last Contact:", "LastContact"),
        ("Last Term:", "LastTerm"),
        ("Last Index:", "LastIndex"),
    ):
        value = server[key]
        say(f"      {shown:<17}{_bool(value) if isinstance(value, bool) else value}")
    if server.get("Meta"):
        say("      Meta")
        for name, value in sorted(server["Meta"].items()):
            say(f'         "{name}": "{value}"')


@api_command("health", short_help="Show the servers' health at a glance")
@text("format", "Output: pretty or json", default="pretty")
def health(client: Client, args: tuple[str, ...], format: str) -> int:
    """Show each server's health as a table. The exit status is 1 when one is unhealthy."""
    expect(args, 0, 0)
    answer = client.request("GET", "operator/autopilot/health", accept=(200, 429)).json()
    if format == "json":
        show_json(answer)
    else:
        table = [["Name", "Address", "Status", "Version", "Voter", "Healthy", "LastContact", "Term", "Index", "Since"]]
        table += [_health_row(server) for server in answer["Servers"]]
        show_table(table)
        say(f"Failure tolerance: {answer['FailureTolerance']}")
    return 0 if answer["Healthy"] else 1


def _health_row(server: dict[str, Any]) -> list[str]:
    return [
        server["Name"],
        server["Address"],
        "leader" if server["Leader"] else server["SerfStatus"],
        server["Version"],
        _bool(server["Voter"]),
        _bool(server["Healthy"]),
        server["LastContact"],
        str(server["LastTerm"]),
        str(server["LastIndex"]),
        server["StableSince"],
    ]
