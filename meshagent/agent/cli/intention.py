"""`meshagent intention create|check|match|get|list|delete|explain`.

Source: surface row CL18; developer.hashicorp.com/consul/commands/intention. `explain` and `-audit` are ours. What may
change here: nothing that a script parses; `check` ends with 0 for allowed and 1 for denied, 2 for an error.
"""

from __future__ import annotations

import json
from typing import Any

import click

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, pairs, switch, text
from meshagent.agent.cli.kv import data_of
from meshagent.agent.cli.output import fail, say, show_json, show_table, tabbed
from meshagent.errors import MeshError
from meshagent.ids import is_uuid

__all__ = ["check", "create", "delete", "explain", "get", "list_intentions", "match"]

Pair = tuple[str, str]


def _pair(args: tuple[str, ...]) -> Pair:
    if len(args) != 2:
        raise fail("Error! command requires exactly two arguments: src and dst")
    return args[0], args[1]


def _query(pair: Pair) -> dict[str, str]:
    return {"source": pair[0], "destination": pair[1]}


def _decides(one: dict[str, Any]) -> str:
    if one.get("Permissions"):
        return f"{len(one['Permissions'])} permissions"
    return str(one.get("Action", ""))


@api_command("create", "SRC DST", "Create an intention, or several from files")
@switch("allow", "Allow (the default)")
@switch("deny", "Deny")
@switch("audit", "Allow, and count and log what -deny would stop")
@switch("replace", "Replace one that is there")
@switch("file", "The words are files with intentions in JSON; - is standard input")
@text("meta", "key=value to keep with it; may be given again", multiple=True)
def create(
    client: Client,
    args: tuple[str, ...],
    allow: bool,
    deny: bool,
    audit: bool,
    replace: bool,
    file: bool,
    meta: tuple[str, ...],
) -> None:
    """Create an intention from SRC to DST; either may be *."""
    if sum((allow, deny, audit)) > 1:
        raise fail("Only one of -allow, -deny, or -audit may be specified.")
    if file:
        intentions = [intention for word in args for intention in _from_file(word)]
        if not intentions:
            raise fail("Error! no file names an intention")
    else:
        source, destination = _pair(args)
        action = "deny" if deny else "audit" if audit else "allow"
        intentions = [{"SourceName": source, "DestinationName": destination, "Action": action}]
    if meta:
        added = pairs(meta, "meta")
        intentions = [{**one, "Meta": {**(one.get("Meta") or {}), **added}} for one in intentions]
    for one in intentions:
        _put(client, one, replace=replace)


def _from_file(word: str) -> list[dict[str, Any]]:
    raw = data_of("-" if word == "-" else f"@{word}")
    try:
        found: Any = json.loads(raw)
    except ValueError as error:
        raise fail(f"Error parsing {word}: {error}") from None
    rows = found if isinstance(found, list) else [found]
    for one in rows:
        if not isinstance(one, dict) or not one.get("SourceName") or not one.get("DestinationName"):
            raise fail(f"{word}: an intention needs SourceName and DestinationName")
    return rows


def _put(client: Client, one: dict[str, Any], *, replace: bool) -> None:
    pair = (str(one["SourceName"]), str(one["DestinationName"]))
    there = client.request("GET", "connect/intentions/exact", _query(pair), accept=(200, 404)).status == 200
    if there and not replace:
        raise fail(f"Error! an intention from {pair[0]} to {pair[1]} is there already: use -replace to change it")
    body = {key: value for key, value in one.items() if key not in {"SourceName", "DestinationName", "ID"}}
    client.put("connect/intentions/exact", _query(pair), value=body)
    word = "Updated" if there else "Created"
    say(f"{word}: {pair[0]} => {pair[1]} ({_decides(one) or 'allow'})")


@api_command("check", "SRC DST", "Say whether a connection would be allowed")
def check(client: Client, args: tuple[str, ...]) -> int:
    """Say whether SRC may connect to DST: Allowed (status 0) or Denied (status 1)."""
    try:
        pair = _pair(args)
        allowed = client.get("connect/intentions/check", _query(pair))["Allowed"]
    except (MeshError, click.ClickException) as error:
        text = error.message if isinstance(error, click.ClickException) else f"Error checking the connection: {error}"
        click.echo(text, err=True)
        return 2
    say("Allowed" if allowed else "Denied")
    return 0 if allowed else 1


@api_command("match", "SRC_OR_DST", "Show the intentions that concern a service")
@switch("source", "Match the source")
@switch("destination", "Match the destination (the default)")
def match(client: Client, args: tuple[str, ...], source: bool, destination: bool) -> None:
    """Show the intentions that concern a service, in the order in which they decide."""
    if source and destination:
        raise fail("Error! only one of -source or -destination may be specified.")
    if len(args) != 1:
        raise fail("Error! command requires exactly one argument: src or dst")
    by = "source" if source else "destination"
    found = client.get("connect/intentions/match", {"by": by, "name": args[0]})[args[0]] or []
    for one in found:
        say(f"{one['SourceName']} => {one['DestinationName']} ({_decides(one)})")


@api_command("get", "SRC DST", "Show an intention")
def get(client: Client, args: tuple[str, ...]) -> None:
    """Show the intention from SRC to DST, or the one with an id."""
    one = _found(client, args)
    rows = [
        ("Source:", one["SourceName"]),
        ("Destination:", one["DestinationName"]),
        *([("Action:", one["Action"])] if one.get("Action") else []),
        *([("ID:", one["ID"])] if one.get("ID") else []),
        *([("Description:", one["Description"])] if one.get("Description") else []),
        *((f"Meta[{key}]:", value) for key, value in sorted((one.get("Meta") or {}).items())),
        ("Precedence:", str(one["Precedence"])),
        ("Create Index:", str(one["CreateIndex"])),
        ("Modify Index:", str(one["ModifyIndex"])),
    ]
    say(tabbed(rows, padding=2))
    if one.get("Permissions"):
        say("Permissions:")
        show_json(one["Permissions"])


def _found(client: Client, args: tuple[str, ...]) -> dict[str, Any]:
    if len(args) == 1 and is_uuid(args[0]):
        answer = client.request("GET", f"connect/intentions/{args[0]}", accept=(200, 404))
        what = args[0]
    else:
        pair = _pair(args)
        answer = client.request("GET", "connect/intentions/exact", _query(pair), accept=(200, 404))
        what = f"{pair[0]} => {pair[1]}"
    if answer.status == 404:
        raise fail(f"Error: there is no intention {what}")
    found: dict[str, Any] = answer.json()
    return found


@api_command("list", short_help="List the intentions")
def list_intentions(client: Client, args: tuple[str, ...]) -> int:
    """List all intentions, the most exact first."""
    expect(args, 0, 0)
    found = client.get("connect/intentions")
    if not found:
        say("There are no intentions.")
        return 0
    rows = [["ID", "Source", "Action", "Destination", "Precedence"]]
    rows += [
        [one.get("ID", ""), one["SourceName"], _decides(one), one["DestinationName"], str(one["Precedence"])]
        for one in found
    ]
    show_table(rows)
    return 0


@api_command("delete", "SRC DST", "Delete an intention")
def delete(client: Client, args: tuple[str, ...]) -> None:
    """Delete the intention from SRC to DST, or the one with an id."""
    one = _found(client, args)
    if len(args) == 1:
        client.request("DELETE", f"connect/intentions/{args[0]}")
    else:
        client.request("DELETE", "connect/intentions/exact", _query((one["SourceName"], one["DestinationName"])))
    say("Intention deleted.")


@api_command("explain", "SRC DST [METHOD] [PATH]", "Say which intention decides, and why")
@text("header", "name:value of the request; may be given again", multiple=True)
@switch("json", "Print JSON")
def explain(client: Client, args: tuple[str, ...], header: tuple[str, ...], json: bool) -> int:
    """Say whether SRC may connect to DST, or send a request there, which intention decides, and why."""
    expect(args, 2, 4)
    query: list[tuple[str, str]] = list(_query((args[0], args[1])).items())
    if len(args) == 3 and args[2].startswith("/"):
        query.append(("path", args[2]))
    else:
        query += list(zip(("method", "path"), args[2:], strict=False))
    query += [("header", word) for word in header]
    try:
        found = client.get("connect/intentions/explain", query)
    except ApiError as error:
        raise fail(f"Error: {error}") from None
    if json:
        show_json(found)
        return 0 if found["Allowed"] else 1
    say("Allowed" if found["Allowed"] else "Denied")
    say(found["Reason"])
    if found["Audited"]:
        say("It is only audited: to enforce it, change its action to deny.")
    rows = [["", "Source", "Destination", "Says", "Precedence"]]
    for one in found["Considered"]:
        mark = "=>" if one["Decides"] else "" if one["Applies"] else "(other source)"
        rows.append([mark, one["SourceName"], one["DestinationName"], _decides(one), str(one["Precedence"])])
    word = "allow" if found["Default"]["Allowed"] else "deny"
    rows.append(["=>" if found["Intention"] is None else "", "", "", f"default: {word}", ""])
    show_table(rows)
    return 0 if found["Allowed"] else 1
