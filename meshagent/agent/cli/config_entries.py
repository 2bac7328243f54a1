"""`meshagent config write|read|list|delete`: config entries.

Source: surface row CL17; developer.hashicorp.com/consul/commands/config. A file is HCL or JSON with one entry; the
agent checks it and names the field that is wrong. What may change here: nothing that a script parses.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say

__all__ = ["delete", "list_entries", "read", "write"]


def entry_in(path: str) -> dict[str, Any]:
    """The entry that a file holds; `-` is standard input. Raises ConfigError with its place in the file."""
    from meshagent.hcl import parse_hcl, parse_json

    if path == "-":
        content = sys.stdin.read()
    else:
        try:
            with open(path, encoding="utf-8") as file:
                content = file.read()
        except OSError as error:
            raise fail(f"Failed to load data: failed to read file: {path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise fail(f"Failed to load data: {path} is not UTF-8 text, at byte {error.start}") from None
    entry: dict[str, Any] = (parse_json if path.endswith(".json") else parse_hcl)(content, path).root
    folded = {key.lower() for key in entry}
    for key in ("kind", "name"):
        if key not in folded:
            raise fail(f'Failed to decode config entry input: {path} has no "{key.capitalize()}"')
    return entry


def _identity(entry: dict[str, Any]) -> tuple[str, str]:
    folded = {key.lower(): value for key, value in entry.items()}
    return str(folded["kind"]), str(folded["name"])


@api_command("write", "FILE|-", "Write a config entry from a file")
@switch("cas", "Write only if the entry's index is still -modify-index (0: only if there is no such entry)")
@text("modify-index", "The index for -cas", default=0, kind=int)
def write(client: Client, args: tuple[str, ...], cas: bool, modify_index: int) -> None:
    """Create or replace the config entry that a file (HCL or JSON) or standard input holds."""
    expect(args, 1, 1, "Must provide exactly one positional argument to specify the config entry to write")
    entry = entry_in(args[0])
    kind, name = _identity(entry)
    try:
        answer = client.put("config", {"cas": str(modify_index)} if cas else (), value=entry)
    except ApiError as error:
        raise fail(f"Error writing config entry {kind}/{name}: {error}") from None
    if answer.json() is not True:
        raise fail(f"Config entry not updated: {kind}/{name}")
    say(f"Config entry written: {kind}/{name}")


@api_command("read", short_help="Show a config entry")
@text("kind", "Its kind")
@text("name", "Its name")
def read(client: Client, args: tuple[str, ...], kind: str, name: str) -> None:
    """Show a config entry as JSON, ready to be edited and written again."""
    expect(args, 0, 0)
    _need(kind, "kind")
    _need(name, "name")
    try:
        entry = client.get(f"config/{kind}/{name}")
    except ApiError as error:
        raise fail(f"Error reading config entry {kind}/{name}: {error}") from None
    say(json.dumps(entry, indent="\t", ensure_ascii=False))


@api_command("list", short_help="List the config entries of a kind")
@text("kind", "The kind")
@text("filter", "Only entries that match this expression")
def list_entries(client: Client, args: tuple[str, ...], kind: str, filter: str) -> None:
    """List the names of the config entries of a kind."""
    expect(args, 0, 0)
    _need(kind, "kind")
    try:
        entries = client.get(f"config/{kind}", {"filter": filter} if filter else ())
    except ApiError as error:
        raise fail(f"Error listing config entries for kind {kind!r}: {error}") from None
    for entry in entries:
        say(entry["Name"])


@api_command("delete", short_help="Delete a config entry")
@text("kind", "Its kind")
@text("name", "Its name")
@text("filename", "A file with the entry, in place of -kind and -name")
@switch("cas", "Delete only if the entry's index is still -modify-index")
@text("modify-index", "The index for -cas", default=0, kind=int)
def delete(
    client: Client, args: tuple[str, ...], kind: str, name: str, filename: str, cas: bool, modify_index: int
) -> None:
    """Delete a config entry: by kind and name, or the one that a file holds."""
    expect(args, 0, 0)
    if filename and (kind or name):
        raise fail("filename can't be used with kind or name")
    if filename:
        kind, name = _identity(entry_in(filename))
    _need(kind, "kind")
    _need(name, "name")
    if cas and modify_index == 0:
        raise fail("Must specify a -modify-index greater than 0 with -cas")
    if modify_index and not cas:
        raise fail("Cannot specify -modify-index without -cas")
    try:
        answer = client.request("DELETE", f"config/{kind}/{name}", {"cas": str(modify_index)} if cas else ())
    except ApiError as error:
        raise fail(f"Error deleting config entry {kind}/{name}: {error}") from None
    if cas and answer.json() is not True:
        raise fail(f"Config entry not deleted: {kind}/{name}")
    say(f"Config entry deleted: {kind}/{name}")


def _need(value: str, flag: str) -> None:
    if not value:
        raise fail(f"Must specify the -{flag} parameter")
