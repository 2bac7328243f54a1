"""`meshagent acl token create|read|update|clone|delete|list`.

Source: surface row CL14; developer.hashicorp.com/consul/commands/acl/token. What may change here: nothing that a script
parses.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.acl_links import link_flags, links, merged
from meshagent.agent.cli.acl_objects import asking
from meshagent.agent.cli.acl_show import find_id, show, show_all, token_lines
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say

__all__ = ["clone", "create", "delete", "list_tokens", "read", "update"]

_META = switch("meta", "Show hash and indexes, too")
_FORMAT = text("format", "pretty or json", default="pretty")


def _accessor(client: Client, accessor_id: str, old: str) -> str:
    given = accessor_id or old
    if not given:
        raise fail("Must specify the -accessor-id parameter")
    return find_id(client, "tokens", "AccessorID", given, "token")


@api_command("create", short_help="Create a token")
@text("accessor", "Its accessor id, a UUID of your own")
@text("secret", "Its secret, a UUID of your own")
@text("description", "What it is for")
@switch("local", "Only for this datacenter")
@text("expires-ttl", "How long it lives (5m, 1h)")
@link_flags(roles=True)
@_META
@_FORMAT
def create(
    client: Client,
    args: tuple[str, ...],
    accessor: str,
    secret: str,
    description: str,
    local: bool,
    expires_ttl: str,
    meta: bool,
    format: str,
    **given: Any,
) -> None:
    """Create a token, and show it with its secret."""
    expect(args, 0, 0)
    granted = links(client, given)
    if not granted:
        raise fail(
            "Cannot create a token without specifying -policy-name, -policy-id, -role-name, -role-id, "
            "-service-identity, -node-identity, -templated-policy, or -templated-policy-file at least once"
        )
    body: dict[str, Any] = {"Description": description, "Local": local, **granted}
    own = {"AccessorID": accessor, "SecretID": secret, "ExpirationTTL": expires_ttl}
    body |= {name: value for name, value in own.items() if value}
    with asking("Failed to create new token"):
        row = client.put("acl/token", value=body).json()
    show(row, token_lines(row, meta=meta), format)


@api_command("read", short_help="Show a token")
@text("accessor-id", "Its accessor id, or the beginning of it")
@text("id", "The same (old)")
@switch("self", "The token of the command itself")
@switch("expanded", "With all that it comes to")
@_META
@_FORMAT
def read(
    client: Client,
    args: tuple[str, ...],
    accessor_id: str,
    id: str,
    self: bool,
    expanded: bool,
    meta: bool,
    format: str,
) -> None:
    """Show a token."""
    expect(args, 0, 0)
    query = {"last-used": ""} | ({"expanded": ""} if expanded else {})
    path = "acl/token/self" if self else f"acl/token/{_accessor(client, accessor_id, id)}"
    with asking("Error reading token"):
        row = client.get(path, query)
    show(row, token_lines(row, meta=meta), format)


@api_command("update", short_help="Change a token")
@text("accessor-id", "Its accessor id, or the beginning of it")
@text("id", "The same (old)")
@text("description", "What it is for", default=None)
@link_flags(roles=True, append=True)
@_META
@_FORMAT
def update(
    client: Client,
    args: tuple[str, ...],
    accessor_id: str,
    id: str,
    description: str | None,
    meta: bool,
    format: str,
    **given: Any,
) -> None:
    """Change what a token grants: flags replace what it has, -append-... flags add to it."""
    expect(args, 0, 0)
    accessor = _accessor(client, accessor_id, id)
    with asking(f"Failed to update token {accessor}"):
        held = client.get(f"acl/token/{accessor}")
        body = {
            "Description": held["Description"] if description is None else description,
            "Local": held["Local"],
            **merged(client, held, given),
        }
        row = client.put(f"acl/token/{accessor}", value=body).json()
    show(row, token_lines(row, meta=meta), format)


@api_command("clone", short_help="Copy a token")
@text("accessor-id", "Its accessor id, or the beginning of it")
@text("id", "The same (old)")
@text("description", "What the copy is for")
@_META
@_FORMAT
def clone(
    client: Client, args: tuple[str, ...], accessor_id: str, id: str, description: str, meta: bool, format: str
) -> None:
    """Make a token that grants the same under new ids."""
    expect(args, 0, 0)
    accessor = _accessor(client, accessor_id, id)
    with asking("Error cloning token"):
        row = client.put(f"acl/token/{accessor}/clone", value={"Description": description}).json()
    show(row, token_lines(row, meta=meta), format)


@api_command("delete", short_help="Delete a token")
@text("accessor-id", "Its accessor id, or the beginning of it")
@text("id", "The same (old)")
def delete(client: Client, args: tuple[str, ...], accessor_id: str, id: str) -> None:
    """Delete a token: it counts no longer at once."""
    expect(args, 0, 0)
    accessor = _accessor(client, accessor_id, id)
    with asking(f'Error deleting token "{accessor}"'):
        client.request("DELETE", f"acl/token/{accessor}")
    say(f'Token "{accessor}" deleted successfully')


@api_command("list", short_help="List the tokens")
@_META
@_FORMAT
def list_tokens(client: Client, args: tuple[str, ...], meta: bool, format: str) -> None:
    """List the tokens; secrets are shown to who may write ACLs."""
    expect(args, 0, 0)
    with asking("Failed to retrieve the token list"):
        rows = client.get("acl/tokens", {"last-used": ""})
    show_all(rows, (token_lines(row, meta=meta) for row in rows), format)
