"""`meshagent snapshot save|restore|inspect|decode`.

Source: surface row CL13; developer.hashicorp.com/consul/commands/snapshot. Flags, words and columns are Consul's; the
archive is of our own form (`catalog/archive.py`). `inspect` and `decode` read a file and need no agent. What may change
here: nothing that a script parses.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, command, expect, switch, text
from meshagent.agent.cli.output import aligned, fail, say
from meshagent.errors import CorruptData, MeshError

__all__ = ["decode", "download", "inspect", "restore", "save"]

_MISSING = "Missing FILE argument"
_READ_BYTES = 1 << 20
_NAME_PARTS = ("version", "dc", "node", "status")
_UNITS = ("B", "KB", "MB", "GB", "TB")


@api_command("save", "FILE", "Save the state of the servers in a file")
@text("append-filename", "What to add to the file's name: any of version,dc,node,status", default="")
def save(client: Client, args: tuple[str, ...], append_filename: str) -> None:
    """Save a snapshot of the state: catalog, keys, sessions, queries, config entries. FILE is replaced only by a whole
    one. With -stale any server may give it, also when there is no leader."""
    expect(args, 1, 1, _MISSING)
    target = _named(client, Path(args[0]), append_filename)
    say(f"Saved and verified snapshot to index {download(client, target)}")


def download(client: Client, target: Path) -> str:
    """Save a verified snapshot as `target`, which is replaced only by a whole one; its index. Ends the command."""
    unfinished = ""
    try:
        number, unfinished = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with open(number, "wb") as file:
            with client.download("snapshot") as (headers, pieces):
                for piece in pieces:
                    file.write(piece)
            file.flush()
            os.fsync(number)
        for _ in _chunks(unfinished):
            pass
        os.replace(unfinished, target)
        unfinished = ""
    except CorruptData as error:
        raise fail(f"Error verifying snapshot file: {error}") from None
    except OSError as error:
        raise fail(f"Error creating snapshot file: {target}: {error.strerror}") from None
    except MeshError as error:
        raise fail(f"Error saving snapshot: {error}") from None
    finally:
        if unfinished:
            os.unlink(unfinished)
    return headers.get("X-Consul-Index") or "0"


def _named(client: Client, path: Path, wanted: str) -> Path:
    """FILE with what is to be said in its name: backup.snap -> backup-1.20.1-dc1-n1-leader.snap."""
    parts = [part for part in wanted.split(",") if part]
    unknown = [part for part in parts if part not in _NAME_PARTS]
    if unknown:
        raise fail(f"invalid value {unknown[0]!r} for -append-filename: use any of {','.join(_NAME_PARTS)}")
    if not parts:
        return path
    agent = client.get("agent/self")
    config = agent["Config"]
    leads = agent.get("Stats", {}).get("consul", {}).get("leader") == "true"
    facts = {
        "version": config["Version"],
        "dc": config["Datacenter"],
        "node": config["NodeName"],
        "status": "leader" if leads else "follower",
    }
    return path.with_name("-".join([path.stem, *(facts[part] for part in _NAME_PARTS if part in parts)]) + path.suffix)


@api_command("restore", "FILE", "Replace the state of the servers by a snapshot")
def restore(client: Client, args: tuple[str, ...]) -> None:
    """Replace the whole state of the servers by that of a snapshot. A file that is damaged, cut short or not ours
    changes nothing."""
    expect(args, 1, 1, _MISSING)
    try:
        with open(args[0], "rb") as file:
            client.upload("snapshot", file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise fail(f"Error opening snapshot file: {args[0]}: {error.strerror}") from None
    except MeshError as error:
        raise fail(f"Error restoring snapshot: {error}") from None
    say("Restored snapshot")


@command("inspect", "FILE", "Show what is in a snapshot")
@switch("kvdetails", "Show which keys take the room")
@text("kvdepth", "With -kvdetails: group keys by so many parts", default=2, kind=int)
@text("kvfilter", "With -kvdetails: only keys that begin so")
@text("format", "Output: pretty or json", default="pretty")
def inspect(args: tuple[str, ...], kvdetails: bool, kvdepth: int, kvfilter: str, format: str) -> None:
    """Show the metadata of a snapshot, and how many rows of which type take how much room."""
    from meshagent.catalog.archive import VERSION
    from meshagent.catalog.snapshot_summary import Summary

    expect(args, 1, 1, _MISSING)
    if format not in ("pretty", "json"):
        raise fail(f"Unknown format: {format} (use pretty or json)")
    if kvdetails and kvdepth < 1:
        raise fail("-kvdepth must be at least 1")
    summary = Summary(kvdepth if kvdetails else 0, kvfilter)
    size = 0
    meta: Any = None
    for found, chunk in _read(args[0]):
        meta = found
        summary.chunk(chunk)
        size += len(chunk)
    if meta is None:
        raise fail("Error reading snapshot: there is nothing in it")
    facts: dict[str, Any] = {
        "ID": meta.id, "Size": size, "Index": meta.index, "Term": meta.term, "Version": VERSION,
    }  # fmt: skip
    types, keys = Summary.largest_first(summary.types), Summary.largest_first(summary.keys)
    if format == "json":
        _show_json(facts, types, keys if kvdetails else None)
        return
    say(aligned([[f" {name}", str(value)] for name, value in facts.items()]))
    say()
    say(_table("Type", types))
    if kvdetails:
        say()
        say(_table("Key Name", keys))


def _show_json(facts: dict[str, Any], types: Any, keys: Any) -> None:
    import json

    def rows(counts: Any) -> list[dict[str, Any]]:
        return [{"Name": name, "Sum": count.size, "Count": count.count} for name, count in counts]

    shown = {"Meta": facts, "Stats": rows(types), "TotalSize": sum(count.size for _, count in types)}
    if keys is not None:
        shown |= {"StatsKV": rows(keys), "TotalSizeKV": sum(count.size for _, count in keys)}
    say(json.dumps(shown, indent=3))


def _table(heading: str, counts: Any) -> str:
    total = sum(count.size for _, count in counts)
    line = [" ----", "----", "----"]
    rows = [[f" {heading}", "Count", "Size"], line]
    rows += [[f" {name}", str(count.count), human(count.size)] for name, count in counts]
    return aligned([*rows, line, [" Total", "", human(total)]])


def human(size: int) -> str:
    """Bytes as Consul writes them: 344B, 1.7KB, 5MB."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.1f}".removesuffix(".0") + _UNITS[unit] if size else "0"


@command("decode", "FILE", "Print the rows of a snapshot as JSON")
def decode(args: tuple[str, ...]) -> None:
    """Print every row of a snapshot as a line of JSON, with its table."""
    import msgspec

    from meshagent.catalog.snapshot import table_rows

    expect(args, 1, 1, _MISSING)
    for _, chunk in _read(args[0]):
        try:
            table, rows = table_rows(chunk)
            for row in rows:
                value = {"Type": table, "Data": msgspec.msgpack.decode(row)}
                say(msgspec.json.encode(value).decode())
        except (CorruptData, ValueError) as error:
            raise fail(f"Error reading snapshot: {error}") from None


def _read(path: str) -> Iterator[tuple[Any, bytes]]:
    """(metadata, chunk) for each chunk of the archive at `path`; errors end the command."""
    try:
        yield from _chunks(path)
    except OSError as error:
        raise fail(f"Error opening snapshot file: {path}: {error.strerror}") from None
    except CorruptData as error:
        raise fail(f"Error reading snapshot: {error}") from None


def _chunks(path: str) -> Iterator[tuple[Any, bytes]]:
    from meshagent.catalog.archive import ArchiveReader

    reader = ArchiveReader()
    file: IO[bytes]
    with open(path, "rb") as file:
        while data := file.read(_READ_BYTES):
            for chunk in reader.feed(data):
                yield reader.meta, chunk
    reader.finish()
