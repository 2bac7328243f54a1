"""`meshagent acl policy create|read|update|delete|list`.

Source: surface row CL14; developer.hashicorp.com/consul/commands/acl/policy. What may change here: nothing that a
script parses.
"""

from __future__ import annotations

from meshagent.agent.cli.acl_objects import POLICY, asking
from meshagent.agent.cli.acl_show import content_of, listed_policy_lines, policy_lines, show, show_all
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail

__all__ = ["create", "delete", "list_policies", "read", "update"]

_META = switch("meta", "Show hash and indexes, too")
_FORMAT = text("format", "pretty or json", default="pretty")


@api_command("create", short_help="Create a policy")
@text("name", "Its name")
@text("description", "What it is for")
@text("rules", "Its rules; @FILE or - for standard input")
@text("valid-datacenter", "A datacenter where it counts; may be repeated", multiple=True)
@_META
@_FORMAT
def create(
    client: Client,
    args: tuple[str, ...],
    name: str,
    description: str,
    rules: str,
    valid_datacenter: tuple[str, ...],
    meta: bool,
    format: str,
) -> None:
    """Create a policy."""
    expect(args, 0, 0)
    if not name:
        raise fail("Missing require '-name' flag")
    body = {
        "Name": name,
        "Description": description,
        "Rules": content_of(rules, "rules"),
        "Datacenters": list(valid_datacenter),
    }
    with asking("Failed to create new policy"):
        row = client.put("acl/policy", value=body).json()
    show(row, policy_lines(row, meta=meta), format)


@api_command("read", short_help="Show a policy")
@text("id", "Its id, or the beginning of it")
@text("name", "Its name")
@_META
@_FORMAT
def read(client: Client, args: tuple[str, ...], id: str, name: str, meta: bool, format: str) -> None:
    """Show a policy with its rules."""
    expect(args, 0, 0)
    row = POLICY.found(client, id, name)
    show(row, policy_lines(row, meta=meta), format)


@api_command("update", short_help="Change a policy")
@text("id", "Its id, or the beginning of it")
@text("name", "Its new name, or with no -id the policy to change")
@text("description", "What it is for", default=None)
@text("rules", "Its rules; @FILE or - for standard input", default=None)
@text("valid-datacenter", "A datacenter where it counts; may be repeated", multiple=True)
@switch("no-merge", "Replace all of it: what is not given becomes empty")
@_META
@_FORMAT
def update(
    client: Client,
    args: tuple[str, ...],
    id: str,
    name: str,
    description: str | None,
    rules: str | None,
    valid_datacenter: tuple[str, ...],
    no_merge: bool,
    meta: bool,
    format: str,
) -> None:
    """Change a policy; what is not given stays."""
    expect(args, 0, 0)
    held = POLICY.found(client, id, "" if id else name)
    old = {} if no_merge else held
    body = {
        "Name": name or held["Name"],
        "Description": old.get("Description", "") if description is None else description,
        "Rules": old.get("Rules", "") if rules is None else content_of(rules, "rules"),
        "Datacenters": list(valid_datacenter) or old.get("Datacenters") or [],
    }
    with asking(f"Error updating policy {held['ID']!r}"):
        row = client.put(f"acl/policy/{held['ID']}", value=body).json()
    show(row, policy_lines(row, meta=meta), format)


@api_command("delete", short_help="Delete a policy")
@text("id", "Its id, or the beginning of it")
@text("name", "Its name")
def delete(client: Client, args: tuple[str, ...], id: str, name: str) -> None:
    """Delete a policy: tokens and roles lose it."""
    expect(args, 0, 0)
    POLICY.delete(client, id, name)


@api_command("list", short_help="List the policies")
@_META
@_FORMAT
def list_policies(client: Client, args: tuple[str, ...], meta: bool, format: str) -> None:
    """List the policies without their rules."""
    expect(args, 0, 0)
    rows = POLICY.rows(client)
    show_all(rows, (listed_policy_lines(row, meta=meta) for row in rows), format, "\n")
