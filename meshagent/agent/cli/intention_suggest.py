"""I/O edge: `meshagent intention suggest`: the least that must be allowed for the traffic that was seen.

Source: issue "intention suggest". What may change here: where traffic is read from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from meshagent.agent.cli import traffic
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say
from meshagent.connect.suggestions import Seen, from_edges, from_lines, suggested

__all__ = ["suggest"]


@api_command("suggest", short_help="Suggest the least that must be allowed for the traffic that was seen")
@text("from", "File with lines of `tap -json` or of a log with audited decisions; may be repeated", multiple=True)
@text("out", "Directory to write one file for each entry to, as `config write` takes them")
@switch("paths", "Permissions by path and method for HTTP, not whole sources")
@switch("deny-others", "Deny whoever was not seen")
@switch("local", "Only the sidecars of this host and user, without asking an agent")
def suggest(
    client: Client, args: tuple[str, ...], out: str, paths: bool, deny_others: bool, local: bool, **more: Any
) -> int:
    """Print service-intentions entries that allow what the sidecars of the datacenter (or lines in files) have seen,
    and no more. A sidecar counts from its start."""
    expect(args, 0, 0)
    files: tuple[str, ...] = more["from"]
    seen: Seen = {}
    if files:
        for name in files:
            _add(seen, from_lines(_lines(name)))
    else:
        found = traffic.look(client, "", local=local)
        traffic.require(found, "", local=local)
        traffic.tell_missing(found.missing)
        _add(seen, from_edges(traffic.edges(found)))
    if not seen:
        click.echo("No traffic was seen yet: there is nothing to suggest", err=True)
    entries = suggested(seen, paths=paths, deny_others=deny_others)
    if not out:
        say(json.dumps(entries, indent=4, ensure_ascii=False))
        return 0
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            name = re.sub(r"[^A-Za-z0-9._-]", "_", entry["Name"])
            place = folder / f"service-intentions-{name}.json"
            place.write_text(json.dumps(entry, indent=4, ensure_ascii=False) + "\n")
            say(f"meshagent config write {place}")
    except OSError as error:
        raise fail(f"-out: {error}") from None
    return 0


def _add(seen: Seen, more: Seen) -> None:
    for edge, what in more.items():
        held = seen.setdefault(edge, {})
        for key, count in what.items():
            held[key] = held.get(key, 0) + count


def _lines(name: str) -> Iterator[dict[str, Any] | str]:
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("{"):
                    try:
                        found = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(found, dict):
                        yield found
                else:
                    yield line
    except OSError as error:
        raise fail(f"-from: {error}") from None
