"""`meshagent kv history|rollback`: what a key was, and writing that again.

Source: ours (`history.versions`). A rollback is a compare-and-set on what the key is now, so that it undoes no change
that nobody has seen. What may change here: nothing that a script parses.
"""

from __future__ import annotations

import base64
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.kv import key_of
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.versions import chosen, list_versions, versions_of

__all__ = ["history", "rollback"]

#: How much of a value the table shows.
_SHOWN = 48


@api_command("history", "KEY", "List the versions of a key")
@text("format", "pretty or json (with whole values, in base64)", default="pretty")
def history(client: Client, args: tuple[str, ...], format: str) -> None:
    """List what a key was, who wrote it and when, oldest first. Servers keep versions if history.versions is set."""
    expect(args, 1, 1, "Error! Missing KEY argument")
    key = key_of(args)
    list_versions(versions_of(client, f"kv/{key}", key), format, ("Value", _value))


def _value(version: dict[str, Any]) -> str:
    raw = base64.b64decode(version["Value"] or "")
    shown = raw[: 2 * _SHOWN].decode("utf-8", "backslashreplace")
    shown = "".join(char if char.isprintable() else "." for char in shown)
    return shown if len(shown) <= _SHOWN and len(raw) <= 2 * _SHOWN else f"{shown[:_SHOWN]}... ({len(raw)} bytes)"


@api_command("rollback", "KEY", "Write an earlier version of a key again")
@text("version", "The version (`kv history`)", default=0, kind=int)
def rollback(client: Client, args: tuple[str, ...], version: int) -> None:
    """Give a key the value and flags of an earlier version, or delete it if it was deleted then; refused when the key
    is changed meanwhile."""
    expect(args, 1, 1, "Error! Missing KEY argument")
    if version <= 0:
        raise fail("Error! Missing -version, see `kv history`")
    key = key_of(args)
    wanted = chosen(versions_of(client, f"kv/{key}", key), version, key)
    now = client.request("GET", f"kv/{key}", accept=(200, 404))
    index = now.json()[0]["ModifyIndex"] if now.status == 200 else 0
    if wanted["Deleted"]:
        written = not index or client.request("DELETE", f"kv/{key}", {"cas": str(index)}).json()
    else:
        query = {"cas": str(index), **({"flags": str(wanted["Flags"])} if wanted["Flags"] else {})}
        written = client.put(f"kv/{key}", query, base64.b64decode(wanted["Value"] or "")).json()
    if not written:
        raise fail(f"Error! Did not roll back {key}: it was changed meanwhile")
    say(f"Success! {key} is as it was in version {version}")
