"""I/O edge: `meshagent top`: rates, success and latency of each edge of this host's sidecars, live.

Source: issue "top"; the idea is linkerd's. What may change here: columns for people; a field of `-json` stays.
"""

from __future__ import annotations

import json as json_module
import sys
import time
from typing import Any

import msgspec

from meshagent.agent.cli.admin_client import Sidecar, running
from meshagent.agent.cli.flags import command, expect, switch, text
from meshagent.agent.cli.output import fail, say
from meshagent.connect.traffic import Row, rows
from meshagent.durations import parse_seconds

__all__ = ["table_of", "top"]


@command("top", short_help="Show rates, success and latency of each edge of the mesh here")
@text("interval", "Between two looks", default="2s")
@switch("once", "One look at one interval, without taking the screen")
@switch("json", "The same as JSON; one object for each look")
def top(args: tuple[str, ...], interval: str, once: bool, json: bool) -> int:
    """Show each edge of the sidecars on this host (of a SERVICE alone, when it is named)."""
    expect(args, 0, 1)
    try:
        seconds = parse_seconds(interval)
    except ValueError as error:
        raise fail(f"-interval: {error}") from None
    if seconds <= 0:
        raise fail("-interval: must be positive")
    wanted = args[0] if args else ""
    before = _look(wanted)
    if not before:
        raise fail(f"No sidecar of {wanted} answers on this host" if wanted else "No sidecar answers on this host")
    if once or json or not sys.stdout.isatty():
        return _plain(before, wanted, seconds, once, json)
    return _live(before, wanted, seconds)


def _plain(before: list[Sidecar], wanted: str, seconds: float, once: bool, as_json: bool) -> int:
    try:
        while True:
            found, before = _next(before, wanted, seconds)
            say(json_module.dumps(msgspec.to_builtins(found)) if as_json else _text(found))
            sys.stdout.flush()
            if once:
                return 0
    except KeyboardInterrupt:
        return 0


def _live(before: list[Sidecar], wanted: str, seconds: float) -> int:
    from rich.live import Live

    with Live(table_of([]), screen=True, auto_refresh=False) as screen:
        try:
            while True:
                found, before = _next(before, wanted, seconds)
                screen.update(table_of(found), refresh=True)
        except KeyboardInterrupt:
            return 0


def _next(before: list[Sidecar], wanted: str, seconds: float) -> tuple[list[Row], list[Sidecar]]:
    started = time.monotonic()  # noqa: TID251  a person's terminal
    time.sleep(seconds)  # noqa: TID251
    after = _look(wanted)
    taken = time.monotonic() - started  # noqa: TID251
    return rows(_edges(before), _edges(after), taken), after


def _look(wanted: str) -> list[Sidecar]:
    return [one for one in running() if not wanted or one.service == wanted]


def _edges(sidecars: list[Sidecar]) -> list[dict[str, Any]]:
    return [edge for sidecar in sidecars for edge in sidecar.edges]


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


def table_of(found: list[Row]) -> Any:
    """A table for a terminal; what goes wrong stands out."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, expand=False)
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
