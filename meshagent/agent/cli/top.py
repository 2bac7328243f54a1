"""I/O edge: `meshagent top`: rates, success and latency of each edge of the mesh, live.

Source: issue "top"; the idea is linkerd's. What may change here: columns for people; a field of `-json` stays.
"""

from __future__ import annotations

import json as json_module
import sys
import time
from typing import Any

import msgspec

from meshagent.agent.cli import traffic
from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.traffic import Look
from meshagent.connect.traffic import Row, rows
from meshagent.durations import parse_seconds

__all__ = ["between", "table_of", "top"]


@api_command("top", "[SERVICE]", "Show rates, success and latency of each edge of the mesh")
@text("interval", "Between two looks", default="2s")
@switch("once", "One look at one interval, without taking the screen")
@switch("json", "The same as JSON; one list of edges for each look")
@switch("local", "Only the sidecars of this host and user, without asking an agent")
def top(client: Client, args: tuple[str, ...], interval: str, once: bool, json: bool, local: bool) -> int:
    """Show each edge that the sidecars of the datacenter see (those of a SERVICE alone, when it is named), as rates
    over an interval."""
    expect(args, 0, 1)
    try:
        seconds = parse_seconds(interval)
    except ValueError as error:
        raise fail(f"-interval: {error}") from None
    if seconds <= 0:
        raise fail("-interval: must be positive")
    watched = _Watched(client, args[0] if args else "", seconds, local)
    traffic.require(watched.before, watched.service, local=local)
    try:
        if once or json or not sys.stdout.isatty():
            return _plain(watched, once, json)
        return _live(watched)
    except KeyboardInterrupt:
        return 0


class _Watched:
    """Two looks, an interval apart, again and again."""

    def __init__(self, client: Client, service: str, seconds: float, local: bool) -> None:
        self.service = service
        self._client = client
        self._seconds = seconds
        self._local = local
        self.before = self._look()
        self._at = time.monotonic()  # noqa: TID251  a person's terminal
        self.missing = self.before.missing

    def next(self) -> list[Row]:
        """What happened since the look before."""
        time.sleep(self._seconds)  # noqa: TID251
        after, now = self._look(), time.monotonic()  # noqa: TID251
        found = between(self.before, after, now - self._at)
        self.before, self._at, self.missing = after, now, after.missing
        return found

    def _look(self) -> Look:
        return traffic.look(self._client, self.service, local=self._local)


def between(before: Look, after: Look, seconds: float) -> list[Row]:
    """What the sidecars saw that were there at both looks; one that has just come begins with nothing."""
    known = {(one.node, one.proxy_id): one for one in before.sidecars}
    old = [edge for one in after.sidecars for edge in known.get((one.node, one.proxy_id), one).edges]
    return rows(old, traffic.edges(after), seconds)


def _plain(watched: _Watched, once: bool, as_json: bool) -> int:
    told: tuple[str, ...] = ()
    while True:
        found = watched.next()
        if watched.missing != told:
            told = watched.missing
            traffic.tell_missing(told)
        say(json_module.dumps(msgspec.to_builtins(found)) if as_json else _text(found))
        sys.stdout.flush()
        if once:
            return 0


def _live(watched: _Watched) -> int:
    from rich.live import Live

    with Live(table_of([]), screen=True, auto_refresh=False) as screen:
        while True:
            found = watched.next()
            screen.update(table_of(found, watched.missing), refresh=True)


def _cells(row: Row) -> list[str]:
    def number(value: float | None, unit: str = "") -> str:
        return "-" if value is None else f"{value:,.1f}{unit}"

    return [
        "out" if row.direction == "outbound" else "in",
        row.source or "?",
        row.destination,
        row.route,
        number(row.requests_per_s),
        "-" if row.success_percent is None else f"{row.success_percent:.2f}%",
        number(row.p50_ms),
        number(row.p95_ms),
        number(row.p99_ms),
        number(row.retries_per_s),
        str(row.connections),
        number(row.connections_per_s),
        str(row.denied),
        number(row.bytes_per_s / 1024.0),
    ]


_HEADS = ("SIDE", "SOURCE", "DESTINATION", "ROUTE", "RPS", "SUCCESS", "P50ms", "P95ms", "P99ms", "RETRY/S", "CONNS",
          "CONN/S", "DENIED", "KiB/S")  # fmt: skip
_LEFT = 4


def _text(found: list[Row]) -> str:
    lines = [list(_HEADS), *map(_cells, found)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(_HEADS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at < _LEFT else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def table_of(found: list[Row], missing: tuple[str, ...] = ()) -> Any:
    """A table for a terminal; what goes wrong stands out, and so does who did not answer."""
    from rich.table import Table
    from rich.text import Text

    caption = Text("\n".join(f"not included: {line}" for line in missing), style="yellow") if missing else None
    table = Table(box=None, pad_edge=False, expand=False, caption=caption, caption_justify="left")
    for at, head in enumerate(_HEADS):
        table.add_column(head, justify="left" if at < _LEFT else "right", no_wrap=True)
    for row in found:
        cells: list[Any] = list(_cells(row))
        if row.success_percent is not None:
            style = "green" if row.success_percent >= 99.9 else "yellow" if row.success_percent >= 95 else "red"
            cells[5] = Text(cells[5], style=style)
        if row.denied:
            cells[12] = Text(cells[12], style="red")
        table.add_row(*cells)
    return table
