"""`meshagent keyring`.

Source: surface row CL11; developer.hashicorp.com/consul/commands/keyring. What may change here: nothing that a script
parses; `-format=json` is ours.
"""

from __future__ import annotations

import json
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say, show_json
from meshagent.errors import MeshError

__all__ = ["keyring"]

#: Flag -> (what is said before, method).
_CHANGES = {
    "install": ("Installing new gossip encryption key...", "POST"),
    "use": ("Changing primary gossip encryption key...", "PUT"),
    "remove": ("Removing gossip encryption key...", "DELETE"),
}


@api_command("keyring", short_help="Manage the keys of gossip encryption")
@switch("list", "List all keys in use within the cluster")
@switch("list-primary", "List all primary keys in use within the cluster")
@text("install", "Install a new key; it decrypts from then on")
@text("use", "Use an installed key as the primary one, which encrypts")
@text("remove", "Remove a key that is not the primary one")
@text("relay-factor", "Members that pass each answer on, 0 to 5", default=0, kind=int)
@switch("local-only", "List the keys of this server's LAN pool only")
@text("format", "Output: pretty or json", default="pretty")
def keyring(
    client: Client,
    args: tuple[str, ...],
    list: bool,
    list_primary: bool,
    install: str,
    use: str,
    remove: str,
    relay_factor: int,
    local_only: bool,
    format: str,
) -> None:
    """List, install, use or remove keys of gossip encryption on all members. A key is changed in this order: install
    the new one, use it, remove the old one."""
    expect(args, 0, 0)
    given = {"install": install, "use": use, "remove": remove}
    changes = [(name, key) for name, key in given.items() if key]
    if list + list_primary + len(changes) != 1:
        raise fail("Only one of -list, -list-primary, -install, -use or -remove must be given")
    if not 0 <= relay_factor <= 5:
        raise fail("Error parsing relay factor: Relay factor must be in range: [0, 5]")
    if local_only and changes:
        raise fail("Error parsing local-only: -local-only can only be set for list requests")
    query = {"relay-factor": str(relay_factor)} if relay_factor else {}
    if local_only:
        query["local-only"] = "true"
    if changes:
        name, key = changes[0]
        words, method = _CHANGES[name]
        say(f"==> {words}")
        try:
            client.request(method, "operator/keyring", query, json.dumps({"Key": key}).encode())
        except MeshError as error:
            raise fail(f"error: {error}") from None
        return
    if format != "json":
        say("==> Gathering installed encryption keys...")
    try:
        rings = client.get("operator/keyring", query)
    except MeshError as error:
        raise fail(f"error: {error}") from None
    if format == "json":
        show_json(rings)
        return
    for ring in rings:
        _show(ring, ring["PrimaryKeys" if list_primary else "Keys"] or {})


def _show(ring: dict[str, Any], keys: dict[str, int]) -> None:
    name = "WAN" if ring["WAN"] else f"{ring['Datacenter']} (LAN)"
    if ring.get("Segment"):
        name += f" [{ring['Segment']}]"
    say()
    say(f"{name}:")
    for member, message in (ring.get("Messages") or {}).items():
        say(f"  ===> {member}: {message}")
    for key, count in keys.items():
        say(f"  {key} [{count}/{ring['NumNodes']}]")
