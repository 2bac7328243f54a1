"""`meshagent proxy config ID`: what a proxy registered at the agent works from, for people or as JSON.

Ours; the private key of the leaf is never shown. What may change here: the look for people; `-json` is the snapshot of
connect/snapshot.py.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, switch
from meshagent.agent.cli.output import fail, say, show_json, show_table

__all__ = ["config"]


@api_command("config", "PROXY_ID", "Show what a proxy works from")
@switch("json", "Print the whole snapshot as JSON")
def config(client: Client, args: tuple[str, ...], json: bool) -> None:
    """Show what a proxy works from: listeners, targets with their instances, intentions, certificates."""
    expect(args, 1, 1)
    try:
        found = client.get(f"agent/connect/proxy/{args[0]}")
    except ApiError as error:
        raise fail(f"Error: {error}") from None
    if json:
        show_json(found)
        return
    say(f"Proxy {found['proxy_id']} of the service {found['service']} in {found['datacenter']}")
    say(f"Trust domain {found['trust_domain']}, {len(found['roots'])} root(s), {_leaf(found)}")
    permissive = (found.get("mesh") or {}).get("permissive")
    if permissive:
        say("Mutual TLS is permissive: connections without TLS reach the application, and no intention stops them")
    say()
    rows = [["Listener", "Leads to", "Protocol"]]
    inbound = found["inbound"]
    if inbound is not None:
        local = inbound["local_socket"] or f"{inbound['local_address']}:{inbound['local_port']}"
        rows.append([f"{inbound['address']}:{inbound['port']}", f"{local} (the application)", inbound["protocol"]])
    for one in found.get("exposed") or ():
        leads = f"{one['path']} of {one['local_socket'] or one['local_port']}, without TLS"
        rows.append([f"{one['address']}:{one['port']}", leads, one["protocol"]])
    transparent = found.get("transparent")
    if transparent is not None:
        leads = (
            "virtual addresses, nothing else" if transparent["mesh_only"] else "virtual addresses, all else directly"
        )
        rows.append([f"127.0.0.1:{transparent['port']}", leads, "redirected"])
    for one in found["outbound"]:
        own = one["socket_path"] or (f"{one['address']}:{one['port']}" if one["port"] else "")
        where = ", ".join(filter(None, (own, *one.get("virtual_ips", ()))))
        chain = one["chain"]
        leads = f"{one['name']}: {one['problem']}" if chain is None else f"{one['name']} ({chain['start']})"
        rows.append([where, leads, chain["protocol"] if chain is not None else ""])
    show_table(rows)
    _clusters(found)
    _intentions(found)


def _leaf(found: dict[str, Any]) -> str:
    count = found["leaf_chain"].count("BEGIN CERTIFICATE")
    return f"a leaf with a chain of {count}" if count else "no leaf yet"


def _clusters(found: dict[str, Any]) -> None:
    if not found["clusters"]:
        return
    say()
    rows = [["Target", "Instance", "Address", "Status", "Weight"]]
    for name, cluster in sorted(found["clusters"].items()):
        for one in cluster["endpoints"]:
            address = f"{one['address']}:{one['port']}"
            rows.append([name, f"{one['node']}/{one['id']}", address, one["status"], str(one["weight"])])
        if not cluster["endpoints"]:
            rows.append([name, "(none)", "", "", ""])
    show_table(rows)


def _intentions(found: dict[str, Any]) -> None:
    say()
    rows = [["Source", "Destination", "Says"]]
    for one in found["intentions"]:
        says = f"{len(one['permissions'])} permissions" if one["permissions"] else one["action"]
        rows.append([one["source"], one["destination"], says])
    word = "allow" if found["default_allow"] else "deny"
    rows.append(["", "", f"default: {word} ({found['default_reason']})"])
    show_table(rows)
