"""I/O edge: `meshagent intention suggest`: the least that must be allowed for the traffic that was seen.

Source: issue "intention suggest". What may change here: where traffic is read from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshagent.agent.cli.admin_client import running
from meshagent.agent.cli.flags import command, expect, switch, text
from meshagent.agent.cli.output import fail, say
from meshagent.connect.suggestions import Seen, from_edges, from_lines, suggested

__all__ = ["suggest"]


@command("suggest", short_help="Suggest the least that must be allowed for the traffic that was seen")
@text("from", "File with lines of `tap -json` or of a log with audited decisions; may be repeated", multiple=True)
@text("out", "Directory to write one file for each entry to, as `config write` takes them")
@switch("paths", "Permissions by path and method for HTTP, not whole sources")
@switch("deny-others", "Deny whoever was not seen")
def suggest(args: tuple[str, ...], out: str, paths: bool, deny_others: bool, **more: Any) -> int:
    """Print service-intentions entries for what the sidecars of this host (or files of other hosts) have seen."""
    expect(args, 0, 0)
    files: tuple[str, ...] = more["from"]
    seen: Seen = {}
    if files:
        for name in files:
            _add(seen, from_lines(_lines(name)))
    else:
        sidecars = running()
        if not sidecars:
            raise fail("No sidecar answers on this host; -from reads what was written down")
        _add(seen, from_edges(edge for sidecar in sidecars for edge in sidecar.edges))
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
