"""`meshagent acl bootstrap|set-agent-token|templated-policy|explain|suggest`.

Source: surface rows CL14, CL15; developer.hashicorp.com/consul/commands/acl. `explain` and `suggest` are ours. What may
change here: nothing that a script parses.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.acl_links import templated_in
from meshagent.agent.cli.acl_objects import asking
from meshagent.agent.cli.acl_show import content_of, find_id, policy_lines, show, token_lines
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say, show_json

__all__ = [
    "bootstrap",
    "explain",
    "list_templates",
    "preview_template",
    "read_template",
    "set_agent_token",
    "suggest",
]

_FORMAT = text("format", "pretty or json", default="pretty")


@api_command("bootstrap", "[FILE|-]", "Make the first token, once")
@_FORMAT
def bootstrap(client: Client, args: tuple[str, ...], format: str) -> None:
    """Make the first token, which may do everything. FILE (- for standard input) holds the secret that it is to
    have.
    """
    expect(args, 0, 1)
    secret = content_of("-" if args[0] == "-" else f"@{args[0]}", "secret").strip() if args else ""
    with asking("Failed ACL bootstrapping"):
        row = client.put("acl/bootstrap", value={"BootstrapSecret": secret} if secret else {}).json()
    show(row, token_lines(row), format)


_TOKENS = ("default", "agent", "recovery", "replication", "config_file_service_registration", "dns", "master")


@api_command("set-agent-token", "TYPE TOKEN", "Give the agent a token of its own")
def set_agent_token(client: Client, args: tuple[str, ...]) -> None:
    """Set a token of the agent: default, agent, recovery, replication, config_file_service_registration or dns.

    It is kept over restarts only with acl.enable_token_persistence.
    """
    expect(args, 2, 2, f"Error: expected 2 arguments, got {len(args)}")
    kind, token = args
    if kind not in _TOKENS:
        raise fail(f"Unknown token type: {kind!r}: use {', '.join(_TOKENS[:-1])}")
    name = {"recovery": "agent_recovery", "master": "agent_recovery"}.get(kind, kind)
    with asking(f"Failed to set ACL token {kind!r}"):
        client.put(f"agent/token/{name}", value={"Token": token})
    say(f'ACL token "{kind}" set successfully')


# --- templated policies -----------------------------------------------------------------------------------------------


@api_command("list", short_help="List the templated policies")
@_FORMAT
def list_templates(client: Client, args: tuple[str, ...], format: str) -> None:
    """List the templated policies."""
    expect(args, 0, 0)
    with asking("Failed to retrieve the templated policies list"):
        found = client.get("acl/templated-policies")
    show(found, sorted(found), format)


def _named(name: str) -> None:
    if not name:
        raise fail("Must specify the -name parameter")


@api_command("read", short_help="Show a templated policy")
@text("name", "Its name")
@_FORMAT
def read_template(client: Client, args: tuple[str, ...], name: str, format: str) -> None:
    """Show a templated policy: its variables and its rules."""
    expect(args, 0, 0)
    _named(name)
    with asking(f"Error reading templated policy {name!r}"):
        row = client.get(f"acl/templated-policy/name/{name}")
    variables = ["   Name: String - Required"] if row["Schema"] else ["   None"]
    lines = [
        f"Name:            {row['TemplateName']}",
        f"Description:     {row['Description']}",
        "Input variables:",
        *variables,
        "Template:",
        row["Template"].strip("\n"),
    ]
    show(row, lines, format)


@api_command("preview", short_help="Show the policy that a templated policy becomes")
@text("name", "Its name")
@text("var", "name:VALUE, its variable", multiple=True)
@text("file", "A file with a templated policy and its variables, in place of -name and -var")
@_FORMAT
def preview_template(
    client: Client, args: tuple[str, ...], name: str, var: tuple[str, ...], file: str, format: str
) -> None:
    """Show the policy that a templated policy becomes with its variables."""
    expect(args, 0, 0)
    body: dict[str, str] = {}
    if file:
        if name or var:
            raise fail("Cannot use -file with -name or -var")
        found = templated_in(file)
        if len(found) > 1:
            raise fail(f"{file} has more than one templated policy")
        name, body = found[0]["TemplateName"], dict(found[0].get("TemplateVariables", {}))
    _named(name)
    for one in var:
        key, colon, value = one.partition(":")
        if not colon or key != "name":
            raise fail(f"Malformed -var argument: {one!r}: name:VALUE is expected")
        body["Name"] = value
    with asking("Failed to generate the templated policy preview"):
        row = client.request("POST", f"acl/templated-policy/preview/{name}", body=_json(body)).json()
    show(row, policy_lines(row), format)


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()


# --- ours -------------------------------------------------------------------------------------------------------------


@api_command("explain", "ACCESSOR|self METHOD PATH", "Say whether a token may make a request, and by which rule")
@text("data", "The body of the request; @FILE or - for standard input")
@switch("json", "As JSON")
def explain(client: Client, args: tuple[str, ...], data: str, json: bool) -> int:
    """Say what a request needs, whether a token allows it, and which rule says so. The request is not carried out.

    Exit status 0: allowed; 1: denied.
    """
    expect(args, 3, 3, "Three arguments are expected: the accessor of a token (or self), a method, a path")
    accessor, method, path = args
    if accessor != "self":
        accessor = find_id(client, "tokens", "AccessorID", accessor, "token")
    body = {"Accessor": accessor, "Method": method.upper(), "Path": path, "Body": content_of(data, "data")}
    with asking("Error explaining"):
        found = client.request("POST", "acl/explain", body=_json(body)).json()
    if json:
        show_json(found)
    else:
        say(f"{'Allowed' if found['Allowed'] else 'Denied'}: {method.upper()} {path}")
        for one in found["Decisions"]:
            name = f' on "{one["Name"]}"' if one["Name"] else ""
            verdict = "allowed" if one["Allowed"] else "denied"
            by = f" (policy {', '.join(one['Policies'])})" if one["Policies"] else ""
            say(f"  {one['Resource']}:{one['Access']}{name}: {verdict}: {one['Reason']}{by}")
        if found["Note"]:
            say(f"  {found['Note']}")
    return 0 if found["Allowed"] else 1


@api_command("suggest", "ACCESSOR", "Propose the least rules for what a token did")
@switch("json", "As JSON")
def suggest(client: Client, args: tuple[str, ...], json: bool) -> None:
    """Propose the least rules that allow what a token has done on the asked server and its agents since they
    started.
    """
    expect(args, 1, 1, "One argument is expected: the accessor of a token")
    accessor = find_id(client, "tokens", "AccessorID", args[0], "token")
    with asking("Error suggesting"):
        found = client.get(f"acl/suggest/{accessor}")
    if json:
        show_json(found)
        return
    say(found["Rules"].rstrip("\n") or "# it has done nothing that needs a rule")
    for one in found["Denied"]:
        name = f' on "{one["Name"]}"' if one["Name"] else ""
        say(f"# was denied: {one['Resource']}:{one['Access']}{name}")
