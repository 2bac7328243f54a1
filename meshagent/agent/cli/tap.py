"""I/O edge: `meshagent tap SERVICE`: the requests of a service's sidecars as they happen.

Source: issue "tap"; the idea is linkerd's. What may change here: columns for people; a field of `-json` stays.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, on_terminal, say
from meshagent.agent.cli.traffic import live

__all__ = ["line_of", "tap"]

_GREEN, _YELLOW, _RED, _DIM, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


@api_command("tap", "[SERVICE]", "Show the requests of a service's sidecars as they happen")
@text("path", "Only paths that begin so; * stands for anything")
@text("method", "Only requests of this method")
@text("status", "Only answers of this status: 404, 5xx, >=400, error")
@text("source", "Only requests of this service; * stands for anything")
@text("destination", "Only requests to this service; * stands for anything")
@text("direction", "inbound or outbound only")
@text("max", "End after so many", default="0")
@switch("json", "One JSON object a line")
@switch("local", "Only the sidecars of this host and user, without asking an agent")
def tap(client: Client, args: tuple[str, ...], json: bool, local: bool, max: str, **filters: str) -> int:
    """Show what passes the sidecars of a SERVICE, wherever in the datacenter they run, as it happens; without a SERVICE
    what passes all of them. Shown are the sidecars that run when it begins."""
    expect(args, 0, 1)
    if not max.isdigit():
        raise fail(f"-max: {max!r} is no number")
    colours = on_terminal() and not json
    count = 0
    given = {name: value for name, value in filters.items() if value}
    try:
        for found in live(client, args[0] if args else "", given, local=local):
            say(_json(found) if json else line_of(found, colours))
            sys.stdout.flush()
            count += 1
            if max != "0" and count >= int(max):
                break
    except ValueError as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        pass
    return 0


def line_of(found: dict[str, Any], colours: bool) -> str:
    """One request, or connection, for people."""
    when = datetime.fromtimestamp(found["started"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    side = "out" if found["direction"] == "outbound" else "in "
    status = found["status"]
    if found["method"]:
        what = f"{found['method']} {found['path']}"
        outcome = str(status or "-")
    else:
        what, outcome = "connection", "UF" if found["flags"] else "ok"
    if found.get("grpc_status") is not None:
        outcome = f"grpc {found['grpc_status']}"
        status = 500 if found["grpc_status"] else status
    bad = found["flags"] if found["flags"] and found["method"] else ""
    edge = f"{side} {found['source'] or '?'} -> {found['destination']}"
    colour = _RED if status >= 500 or (not status and found["flags"]) else _YELLOW if status >= 400 else _GREEN
    if colours:
        outcome = f"{colour}{outcome:>3}{_PLAIN}"
        when = f"{_DIM}{when}{_PLAIN}"
    sizes = f"{found['bytes_in']}B/{found['bytes_out']}B"
    more = " ".join(
        part
        for part in (
            bad,
            found["upstream"],
            f"tries={found['tries']}" if found["tries"] > 1 else "",
            f"@{found['node']}" if found.get("node") else "",
        )
        if part
    )
    return f"{when} {edge:<28} {outcome:>3} {found['duration_ms']:>9.1f}ms  {what}  {sizes}  {more}".rstrip()


def _json(found: dict[str, Any]) -> str:
    import json

    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
