"""`meshagent acl binding-rule create|read|update|delete|list`.

Source: surface row CL15; developer.hashicorp.com/consul/commands/acl/binding-rule. What may change here: nothing that a
script parses.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.acl_objects import asking
from meshagent.agent.cli.acl_show import find_id, rule_lines, show, show_all
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say

__all__ = ["create", "delete", "list_rules", "read", "update"]

_META = switch("meta", "Show the indexes, too")
_FORMAT = text("format", "pretty or json", default="pretty")


def _flags(function: Any) -> Any:
    for name, help in (
        ("selector", 'Whom it is for ("value.team == ops"); nothing: everybody'),
        ("bind-name", "What they are given; ${...} holds what is known of them"),
        ("bind-type", "service, node, role, policy or templated-policy"),
        ("description", "What it is for"),
    ):
        function = text(name, help)(function)
    return text("bind-vars", "Name=VALUE, the variable of a templated policy", multiple=True)(function)


def _body(given: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    body = {
        "Description": given["description"] or held.get("Description", ""),
        "BindType": given["bind_type"] or held.get("BindType", ""),
        "BindName": given["bind_name"] or held.get("BindName", ""),
        "Selector": given["selector"] or held.get("Selector", ""),
    }
    variables = {}
    for one in given["bind_vars"]:
        name, equals, value = one.partition("=")
        if not equals or name.lower() != "name":
            raise fail(f"Malformed -bind-vars argument: {one!r}: Name=VALUE is expected")
        variables["Name"] = value
    found = variables or held.get("BindVars")
    return {**body, "BindVars": found} if found else body


def _id(client: Client, given: str) -> str:
    if not given:
        raise fail("Must specify the -id parameter")
    return find_id(client, "binding-rules", "ID", given, "binding rule")


@api_command("create", short_help="Create a binding rule")
@text("method", "The auth method whose logins it is for")
@_flags
@_META
@_FORMAT
def create(client: Client, args: tuple[str, ...], method: str, meta: bool, format: str, **given: Any) -> None:
    """Create a binding rule."""
    expect(args, 0, 0)
    for flag, value in (("method", method), ("bind-type", given["bind_type"]), ("bind-name", given["bind_name"])):
        if not value:
            raise fail(f"Missing required '-{flag}' flag")
    with asking("Failed to create new binding rule"):
        row = client.put("acl/binding-rule", value={"AuthMethod": method, **_body(given, {})}).json()
    show(row, rule_lines(row, meta=meta), format)


@api_command("read", short_help="Show a binding rule")
@text("id", "Its id, or the beginning of it")
@_META
@_FORMAT
def read(client: Client, args: tuple[str, ...], id: str, meta: bool, format: str) -> None:
    """Show a binding rule."""
    expect(args, 0, 0)
    with asking("Error reading binding rule"):
        row = client.get(f"acl/binding-rule/{_id(client, id)}")
    show(row, rule_lines(row, meta=meta), format)


@api_command("update", short_help="Change a binding rule")
@text("id", "Its id, or the beginning of it")
@switch("no-merge", "Replace all of it: what is not given becomes empty")
@_flags
@_META
@_FORMAT
def update(
    client: Client, args: tuple[str, ...], id: str, no_merge: bool, meta: bool, format: str, **given: Any
) -> None:
    """Change a binding rule; what is not given stays."""
    expect(args, 0, 0)
    found = _id(client, id)
    with asking(f"Error updating binding rule {found!r}"):
        held = client.get(f"acl/binding-rule/{found}")
        body = {"AuthMethod": held["AuthMethod"], **_body(given, {} if no_merge else held)}
        row = client.put(f"acl/binding-rule/{found}", value=body).json()
    show(row, rule_lines(row, meta=meta), format)


@api_command("delete", short_help="Delete a binding rule")
@text("id", "Its id, or the beginning of it")
def delete(client: Client, args: tuple[str, ...], id: str) -> None:
    """Delete a binding rule; tokens that it gave stay."""
    expect(args, 0, 0)
    found = _id(client, id)
    with asking(f'Error deleting binding rule "{found}"'):
        client.request("DELETE", f"acl/binding-rule/{found}")
    say(f'Binding-rule "{found}" deleted successfully')


@api_command("list", short_help="List the binding rules")
@text("method", "Only those of this auth method")
@_META
@_FORMAT
def list_rules(client: Client, args: tuple[str, ...], method: str, meta: bool, format: str) -> None:
    """List the binding rules."""
    expect(args, 0, 0)
    with asking("Failed to retrieve the binding rule list"):
        rows = client.get("acl/binding-rules", {"authmethod": method} if method else {})
    show_all(rows, (_listed(row, meta) for row in rows), format, "\n")


def _listed(row: dict[str, Any], meta: bool) -> list[str]:
    return [f"{row['ID']}:", *(f"   {line}" for line in rule_lines(row, meta=meta)[1:])]
