"""`meshagent kv get|put|delete`.

Source: surface row CL6; developer.hashicorp.com/consul/commands/kv. Texts and statuses are Consul's. What may change
here: nothing that a script parses.
"""

from __future__ import annotations

import base64
import binascii
import sys
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say, tabbed

__all__ = ["data_of", "delete", "get", "key_of", "put"]


def key_of(args: tuple[str, ...]) -> str:
    """The key in the first word; a leading slash is dropped."""
    return args[0].removeprefix("/") if args else ""


def data_of(word: str) -> bytes:
    """`@file` is a file's content, `-` standard input, anything else itself."""
    if word == "-":
        return sys.stdin.buffer.read()
    if word.startswith("@"):
        try:
            with open(word[1:], "rb") as file:
                return file.read()
        except OSError as error:
            raise fail(f"Error! Failed to read file: {word[1:]}: {error.strerror}") from None
    return word.encode("utf-8", "surrogateescape")


@api_command("get", "[KEY_OR_PREFIX]", "Show a key, or all keys under a prefix")
@switch("recurse", "All keys that begin with the word")
@switch("keys", "Only names of keys, up to the separator")
@text("separator", "What ends a name with -keys", default="/")
@switch("detailed", "Show flags, indexes and the lock too")
@switch("base64", "Show values in base64")
def get(
    client: Client,
    args: tuple[str, ...],
    recurse: bool,
    keys: bool,
    separator: str,
    detailed: bool,
    base64: bool,
) -> None:
    """Show the value of a key, or keys and values under a prefix."""
    expect(args, 0, 1)
    key = key_of(args)
    if keys:
        answer = client.request("GET", f"kv/{key}", {"keys": "", "separator": separator}, accept=(200, 404))
        for name in answer.json() if answer.status == 200 else []:
            say(name)
        return
    if recurse:
        answer = client.request("GET", f"kv/{key}", {"recurse": ""}, accept=(200, 404))
        entries = answer.json() if answer.status == 200 else []
        for number, entry in enumerate(entries):
            if detailed:
                say(_detailed(entry, base64))
                if number < len(entries) - 1:
                    say()
            else:
                _write(f"{entry['Key']}:".encode() + _shown(entry, base64) + b"\n")
        return
    if not key:
        raise fail("Error! Missing KEY argument")
    answer = client.request("GET", f"kv/{key}", accept=(200, 404))
    if answer.status == 404:
        raise fail(f"Error! No key exists at: {key}")
    entry = answer.json()[0]
    if detailed:
        say(_detailed(entry, base64))
    else:
        _write(_shown(entry, base64) + b"\n")


def _shown(entry: dict[str, Any], as_base64: bool) -> bytes:
    value = entry["Value"] or ""
    return value.encode() if as_base64 else base64.b64decode(value)


def _detailed(entry: dict[str, Any], as_base64: bool) -> str:
    rows = [
        ("CreateIndex", str(entry["CreateIndex"])),
        ("Flags", str(entry["Flags"])),
        ("Key", entry["Key"]),
        ("LockIndex", str(entry["LockIndex"])),
        ("ModifyIndex", str(entry["ModifyIndex"])),
        ("Session", entry.get("Session") or "-"),
        ("Value", _shown(entry, as_base64).decode("utf-8", "replace")),
    ]
    return tabbed(rows)


def _write(data: bytes) -> None:
    """Values are bytes and go out as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@api_command("put", "KEY [DATA]", "Write a key")
@switch("cas", "Write only if the key's index is still -modify-index (0: only if there is no such key)")
@text("modify-index", "The index for -cas", default=0, kind=int)
@text("flags", "A number to keep with the key", default=0, kind=int)
@switch("acquire", "Take the key's lock for -session")
@switch("release", "Give the key's lock back")
@text("session", "The session for -acquire and -release")
@switch("base64", "The data is in base64")
def put(
    client: Client,
    args: tuple[str, ...],
    cas: bool,
    modify_index: int,
    flags: int,
    acquire: bool,
    release: bool,
    session: str,
    base64: bool,
) -> None:
    """Write DATA to KEY. DATA may be @file, or - for standard input; without it the value is empty."""
    if not args:
        raise fail("Error! Missing KEY argument")
    expect(args, 1, 2)
    key = key_of(args)
    if not key:
        raise fail("Error! Missing KEY argument")
    if (acquire or release) and not session:
        raise fail(f"Error! Missing -session (required with -{'acquire' if acquire else 'release'})")
    data = data_of(args[1]) if len(args) > 1 else b""
    if base64:
        data = _decoded(data)
    query: dict[str, str] = {}
    if flags:
        query["flags"] = str(flags)
    if cas:
        query["cas"] = str(modify_index)
    elif acquire:
        query["acquire"] = session
    elif release:
        query["release"] = session
    done = client.put(f"kv/{key}", query, data).json()
    if cas and not done:
        raise fail(f"Error! Did not write to {key}: CAS failed")
    if not done:
        raise fail("Error! Did not acquire lock" if acquire else "Error! Did not release lock")
    if acquire and not cas:
        say(f"Success! Lock acquired on: {key}")
    elif release and not cas:
        say(f"Success! Lock released on: {key}")
    else:
        say(f"Success! Data written to: {key}")


def _decoded(data: bytes) -> bytes:
    try:
        return base64.b64decode(data.strip(), validate=True)
    except binascii.Error as error:
        raise fail(f"Error! Cannot base 64 decode data: {error}") from None


@api_command("delete", "KEY_OR_PREFIX", "Delete a key, or all keys under a prefix")
@switch("recurse", "All keys that begin with the word")
@switch("cas", "Delete only if the key's index is still -modify-index")
@text("modify-index", "The index for -cas", default=0, kind=int)
def delete(client: Client, args: tuple[str, ...], recurse: bool, cas: bool, modify_index: int) -> None:
    """Delete a key. Deleting what does not exist succeeds."""
    expect(args, 0, 1)
    key = key_of(args)
    if not key and not recurse:
        raise fail("Error! Missing KEY argument")
    if cas and recurse:
        raise fail("Cannot specify both -cas and -recurse!")
    if cas and not modify_index:
        raise fail("Must specify -modify-index with -cas!")
    if recurse:
        client.request("DELETE", f"kv/{key}", {"recurse": ""})
        say(f"Success! Deleted keys with prefix: {key}")
        return
    done = client.request("DELETE", f"kv/{key}", {"cas": str(modify_index)} if cas else {}).json()
    if cas and not done:
        raise fail(f"Error! Did not delete key {key}: CAS failed")
    say(f"Success! Deleted key: {key}")
