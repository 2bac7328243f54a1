"""`meshagent acl auth-method create|read|update|delete|list`.

Source: surface row CL15; developer.hashicorp.com/consul/commands/acl/auth-method. What may change here: nothing that a
script parses.
"""

from __future__ import annotations

import json
from typing import Any

from meshagent.agent.cli.acl_objects import asking
from meshagent.agent.cli.acl_show import content_of, method_lines, show, show_all
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say

__all__ = ["create", "delete", "list_methods", "read", "update"]

_META = switch("meta", "Show the indexes, too")
_FORMAT = text("format", "pretty or json", default="pretty")
#: Flag -> option of a method of type kubernetes.
_KUBERNETES = (
    ("kubernetes_host", "Host", "Address of the Kubernetes API"),
    ("kubernetes_ca_cert", "CACert", "Its authority, PEM; @FILE"),
    ("kubernetes_service_account_jwt", "ServiceAccountJWT", "Token of an account that may review tokens; @FILE"),
)


def _flags(function: Any) -> Any:
    for name, _, help in reversed(_KUBERNETES):
        function = text(name.replace("_", "-"), help)(function)
    for name, help in (
        ("config", "Its configuration as JSON; @FILE or - for standard input"),
        ("token-locality", "local or global: where the tokens of its logins count"),
        ("max-token-ttl", "How long the tokens of its logins live (30m)"),
        ("description", "What it is for"),
        ("display-name", "How people call it"),
    ):
        function = text(name, help)(function)
    return function


def _body(given: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = dict(held.get("Config") or {})
    if given["config"]:
        try:
            config = json.loads(content_of(given["config"], "config"))
        except ValueError as error:
            raise fail(f"Error parsing JSON from -config: {error}") from None
    for flag, option, _ in _KUBERNETES:
        if given[flag]:
            config[option] = content_of(given[flag], flag.replace("_", "-"))
    body = {
        "DisplayName": given["display_name"] or held.get("DisplayName", ""),
        "Description": given["description"] or held.get("Description", ""),
        "TokenLocality": given["token_locality"] or held.get("TokenLocality", ""),
        "Config": config,
    }
    ttl = given["max_token_ttl"] or held.get("MaxTokenTTL")
    return {**body, "MaxTokenTTL": ttl} if ttl else body


def _need(name: str) -> None:
    if not name:
        raise fail("Missing required '-name' flag")


@api_command("create", short_help="Create an auth method")
@text("name", "Its name")
@text("type", "jwt, kubernetes or oidc")
@_flags
@_META
@_FORMAT
def create(client: Client, args: tuple[str, ...], name: str, type: str, meta: bool, format: str, **given: Any) -> None:
    """Create an auth method."""
    expect(args, 0, 0)
    _need(name)
    if not type:
        raise fail("Missing required '-type' flag")
    with asking("Failed to create new auth method"):
        row = client.put("acl/auth-method", value={"Name": name, "Type": type, **_body(given, {})}).json()
    show(row, method_lines(row, meta=meta), format)


@api_command("read", short_help="Show an auth method")
@text("name", "Its name")
@_META
@_FORMAT
def read(client: Client, args: tuple[str, ...], name: str, meta: bool, format: str) -> None:
    """Show an auth method with its configuration."""
    expect(args, 0, 0)
    _need(name)
    with asking(f"Error reading auth method {name!r}"):
        row = client.get(f"acl/auth-method/{name}")
    show(row, method_lines(row, meta=meta), format)


@api_command("update", short_help="Change an auth method")
@text("name", "Its name")
@switch("no-merge", "Replace all of it: what is not given becomes empty")
@_flags
@_META
@_FORMAT
def update(
    client: Client, args: tuple[str, ...], name: str, no_merge: bool, meta: bool, format: str, **given: Any
) -> None:
    """Change an auth method; what is not given stays."""
    expect(args, 0, 0)
    _need(name)
    with asking(f"Error updating auth method {name!r}"):
        held = client.get(f"acl/auth-method/{name}")
        body = {"Name": name, "Type": held["Type"], **_body(given, {} if no_merge else held)}
        row = client.put(f"acl/auth-method/{name}", value=body).json()
    show(row, method_lines(row, meta=meta), format)


@api_command("delete", short_help="Delete an auth method")
@text("name", "Its name")
def delete(client: Client, args: tuple[str, ...], name: str) -> None:
    """Delete an auth method, its binding rules and the tokens of its logins."""
    expect(args, 0, 0)
    _need(name)
    with asking(f'Error deleting auth method "{name}"'):
        client.request("DELETE", f"acl/auth-method/{name}")
    say(f'Auth-method "{name}" deleted successfully')


@api_command("list", short_help="List the auth methods")
@_META
@_FORMAT
def list_methods(client: Client, args: tuple[str, ...], meta: bool, format: str) -> None:
    """List the auth methods without their configuration."""
    expect(args, 0, 0)
    with asking("Failed to retrieve the auth method list"):
        rows = client.get("acl/auth-methods")
    show_all(rows, (_listed(row, meta) for row in rows), format, "\n")


def _listed(row: dict[str, Any], meta: bool) -> list[str]:
    return [f"{row['Name']}:", *(f"   {line}" for line in method_lines(row, meta=meta)[1:])]
