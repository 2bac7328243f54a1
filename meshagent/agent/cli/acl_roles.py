"""`meshagent acl role create|read|update|delete|list`.

Source: surface row CL14; developer.hashicorp.com/consul/commands/acl/role. What may change here: nothing that a script
parses.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.acl_links import link_flags, links, merged
from meshagent.agent.cli.acl_objects import ROLE, asking
from meshagent.agent.cli.acl_show import listed_role_lines, role_lines, show, show_all
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail

__all__ = ["create", "delete", "list_roles", "read", "update"]

_META = switch("meta", "Show hash and indexes, too")
_FORMAT = text("format", "pretty or json", default="pretty")


@api_command("create", short_help="Create a role")
@text("name", "Its name")
@text("description", "What it is for")
@link_flags(roles=False)
@_META
@_FORMAT
def create(
    client: Client, args: tuple[str, ...], name: str, description: str, meta: bool, format: str, **given: Any
) -> None:
    """Create a role."""
    expect(args, 0, 0)
    if not name:
        raise fail("Missing require '-name' flag")
    granted = links(client, given)
    if not granted:
        raise fail(
            "Cannot create a role without specifying -policy-name, -policy-id, -service-identity, -node-identity, "
            "-templated-policy, or -templated-policy-file at least once"
        )
    with asking("Failed to create new role"):
        row = client.put("acl/role", value={"Name": name, "Description": description, **granted}).json()
    show(row, role_lines(row, meta=meta), format)


@api_command("read", short_help="Show a role")
@text("id", "Its id, or the beginning of it")
@text("name", "Its name")
@_META
@_FORMAT
def read(client: Client, args: tuple[str, ...], id: str, name: str, meta: bool, format: str) -> None:
    """Show a role."""
    expect(args, 0, 0)
    row = ROLE.found(client, id, name)
    show(row, role_lines(row, meta=meta), format)


@api_command("update", short_help="Change a role")
@text("id", "Its id, or the beginning of it")
@text("name", "Its new name, or with no -id the role to change")
@text("description", "What it is for", default=None)
@switch("no-merge", "Replace all of it: what is not given becomes empty")
@link_flags(roles=False, append=True)
@_META
@_FORMAT
def update(
    client: Client,
    args: tuple[str, ...],
    id: str,
    name: str,
    description: str | None,
    no_merge: bool,
    meta: bool,
    format: str,
    **given: Any,
) -> None:
    """Change what a role grants: flags replace what it has, -append-... flags add to it."""
    expect(args, 0, 0)
    held = ROLE.found(client, id, "" if id else name)
    old = {} if no_merge else held
    body = {
        "Name": name or held["Name"],
        "Description": old.get("Description", "") if description is None else description,
        **merged(client, old, given),
    }
    with asking(f"Error updating role {held['ID']!r}"):
        row = client.put(f"acl/role/{held['ID']}", value=body).json()
    show(row, role_lines(row, meta=meta), format)


@api_command("delete", short_help="Delete a role")
@text("id", "Its id, or the beginning of it")
@text("name", "Its name")
def delete(client: Client, args: tuple[str, ...], id: str, name: str) -> None:
    """Delete a role: tokens lose it."""
    expect(args, 0, 0)
    ROLE.delete(client, id, name)


@api_command("list", short_help="List the roles")
@_META
@_FORMAT
def list_roles(client: Client, args: tuple[str, ...], meta: bool, format: str) -> None:
    """List the roles."""
    expect(args, 0, 0)
    rows = ROLE.rows(client)
    show_all(rows, (listed_role_lines(row, meta=meta) for row in rows), format, "\n")
