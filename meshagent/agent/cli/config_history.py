"""`meshagent config history|diff|rollback`: what a config entry was, what changed, and writing an old one again.

Source: ours (`history.versions`). A rollback is a compare-and-set on the entry of now. What may change here: nothing
that a script parses; the diff is the unified one of `diff -u` on the JSON of `config read`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.versions import author_of, chosen, list_versions, versions_of

__all__ = ["diff", "history", "rollback"]

#: What servers add: not part of what somebody wrote.
_ADDED = frozenset({"CreateIndex", "ModifyIndex", "Hash", "Status"})


def _versions(client: Client, args: tuple[str, ...], kind: str, name: str) -> list[dict[str, Any]]:
    expect(args, 0, 0)
    for value, flag in ((kind, "kind"), (name, "name")):
        if not value:
            raise fail(f"Must specify the -{flag} parameter")
    try:
        return versions_of(client, f"config/{kind}/{name}", f"{kind}/{name}")
    except ApiError as error:
        raise fail(f"Error reading the versions of {kind}/{name}: {error}") from None


@api_command("history", short_help="List the versions of a config entry")
@text("kind", "Its kind")
@text("name", "Its name")
@text("format", "pretty or json (with the entries)", default="pretty")
def history(client: Client, args: tuple[str, ...], kind: str, name: str, format: str) -> None:
    """List what a config entry was, who wrote it and when, oldest first. Servers keep versions if history.versions is
    set."""
    list_versions(_versions(client, args, kind, name), format, ("Fields", _fields))


def _fields(version: dict[str, Any]) -> str:
    return ", ".join(key for key in version["Entry"] if key not in _ADDED | {"Kind", "Name"}) or "-"


@api_command("diff", short_help="Show what changed between two versions of a config entry")
@text("kind", "Its kind")
@text("name", "Its name")
@text("from", "The older version; without it the one before -to", default=0, kind=int)
@text("to", "The newer version; without it the last one", default=0, kind=int)
def diff(client: Client, args: tuple[str, ...], kind: str, name: str, to: int, **flags: int) -> None:
    """Show what changed in a config entry from one version to another; nothing where nothing did."""
    what, versions = f"{kind}/{name}", _versions(client, args, kind, name)
    new = chosen(versions, to, what) if to else versions[-1]
    at = versions.index(new)
    if flags["from"]:
        old = chosen(versions, flags["from"], what)
    elif at:
        old = versions[at - 1]
    else:
        old = {"Version": 0, "Time": "", "AccessorID": "", "TokenDescription": "", "Agent": "", "Entry": None}
    for line in difflib.unified_diff(_lines(old), _lines(new), _title(what, old), _title(what, new), lineterm=""):
        say(line)


def _title(what: str, version: dict[str, Any]) -> str:
    if not version["Version"]:
        return "/dev/null"
    return f"{what} version {version['Version']}\t{version['Time'] or '-'} {author_of(version)}"


def _lines(version: dict[str, Any]) -> Sequence[str]:
    entry = version["Entry"]
    if entry is None:
        return []
    kept = {key: value for key, value in entry.items() if key not in _ADDED}
    return json.dumps(kept, indent=2, ensure_ascii=False).splitlines()


@api_command("rollback", short_help="Write an earlier version of a config entry again")
@text("kind", "Its kind")
@text("name", "Its name")
@text("version", "The version (`config history`)", default=0, kind=int)
def rollback(client: Client, args: tuple[str, ...], kind: str, name: str, version: int) -> None:
    """Write an earlier version of a config entry again, or delete it if it was deleted then; refused when it is changed
    meanwhile."""
    if version <= 0:
        raise fail("Must specify the -version parameter, see `config history`")
    what = f"{kind}/{name}"
    wanted = chosen(_versions(client, args, kind, name), version, what)
    now = client.request("GET", f"config/{kind}/{name}", accept=(200, 404))
    index = now.json()["ModifyIndex"] if now.status == 200 else 0
    try:
        if wanted["Deleted"]:
            written = not index or client.request("DELETE", f"config/{kind}/{name}", {"cas": str(index)}).json()
        else:
            entry = {key: value for key, value in wanted["Entry"].items() if key not in _ADDED}
            written = client.put("config", {"cas": str(index)}, value=entry).json()
    except ApiError as error:
        raise fail(f"Error rolling back {what}: {error}") from None
    if not written:
        raise fail(f"Config entry not rolled back: {what} was changed meanwhile")
    say(f"Config entry {what} is as it was in version {version}")
